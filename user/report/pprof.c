/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The profile that `go tool pprof`, Parca, Pyroscope and speedscope read: profile.proto, gzipped.
 *
 * One sample for each site. Kinds that are counted in bytes have the four values of Go's own heap
 * profile in its order (Go 1.23, runtime/pprof/protomem.go, writeHeapProto()), so that the two can
 * be compared: alloc_* is what was opened since the watch began, inuse_* what of it is still open.
 * Any other kind has one value, KIND/count, like Go's goroutine profile, but for waits: they have the
 * two of Go's block profile (Go 1.23, runtime/pprof/pprof.go, printCountCycleProfile()). When a
 * report has several, the others follow the four, and -sample_index=goroutine shows them.
 *
 * Stores refuse profiles that are too large (Pyroscope: 16000 samples, 4 MiB), so the sites that
 * find no room are summed in one sample. Label texts become series there: what has no bound, like a
 * PID, is a number.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "report/profile.h"
#include "report/text.h"
#include "report/write.h"
#include "trend/trend.h"

#define MAX_SAMPLES   8000
#define MAX_RAW_BYTES (2UL << 20)
/* For the sample of what found no room, and its comment. */
#define SPARE_BYTES 1024
/* Labels and values of one sample, at most, but for texts of the target. */
#define SAMPLE_BYTES 512
#define WORD_BYTES   10 /* of a 64-bit number, at most */

#define NSEC_PER_S 1e9
#define GZIP_BITS  (MAX_WBITS + 16) /* zlib: the header of gzip */

/* Of LB_KIND_GOPARK. */
enum { CONTENTIONS, DELAY, NR_WAIT_VALUES };

enum { ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE, NR_HEAP_VALUES };

#define NR_VALUES_MAX (NR_HEAP_VALUES + LB_KIND_MAX + NR_WAIT_VALUES)

/* Which values the samples have. */
struct columns {
	bool heap;                       /* the first ones are those of the heap */
	bool seen[LB_KIND_MAX];          /* the kind has a site */
	unsigned int first[LB_KIND_MAX]; /* index of the first value of the kind */
};

struct writing {
	const struct report *report;
	struct profile profile;
	struct columns columns;
	size_t nr_truncated;
	int64_t truncated[NR_VALUES_MAX]; /* their values, summed */
};

static int64_t clamp(uint64_t value)
{
	return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int64_t add_clamped(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* --- what the values are --- */

static void find_columns(struct columns *columns, const struct finding *const *findings, size_t nr)
{
	unsigned int next;
	size_t i;

	*columns = (struct columns){ 0 };
	for (i = 0; i < nr; i++)
		columns->seen[findings[i]->site.key.kind] = true;
	columns->heap = nr == 0;
	for (i = 0; i < LB_KIND_MAX; i++)
		columns->heap |= columns->seen[i] && kind_has_bytes((enum lb_kind)i);
	next = columns->heap ? NR_HEAP_VALUES : 0;
	for (i = 0; i < LB_KIND_MAX; i++) {
		if (!columns->seen[i] || kind_has_bytes((enum lb_kind)i))
			continue;
		columns->first[i] = next;
		next += i == LB_KIND_GOPARK ? NR_WAIT_VALUES : 1;
	}
}

/* As in Go's own profiles. */
static const char *type_of_period(enum lb_kind kind)
{
	return kind == LB_KIND_GOPARK ? "contentions" : kind_name(kind);
}

static void write_types(struct profile *profile, const struct columns *columns)
{
	size_t i;

	if (columns->heap) {
		profile_add_type(profile, "alloc_objects", "count");
		profile_add_type(profile, "alloc_space", "bytes");
		profile_add_type(profile, "inuse_objects", "count");
		profile_add_type(profile, "inuse_space", "bytes");
		profile_set_period(profile, "space", "bytes");
		if (!profile->error)
			profile->message->default_sample_type =
				profile_string(profile, "inuse_space");
	}
	for (i = 0; i < LB_KIND_MAX; i++) {
		if (!columns->seen[i] || kind_has_bytes((enum lb_kind)i))
			continue;
		if (i == LB_KIND_GOPARK) {
			profile_add_type(profile, "contentions", "count");
			profile_add_type(profile, "delay", "nanoseconds");
		} else {
			profile_add_type(profile, kind_name((enum lb_kind)i), "count");
		}
		if (!profile->error && !profile->message->period_type)
			profile_set_period(profile, type_of_period((enum lb_kind)i), "count");
	}
}

/* Adds what the site counts to @values. False: it counts nothing. */
static bool add_values(const struct columns *columns, const struct site_count *site,
		       int64_t *values)
{
	unsigned int first = columns->first[site->key.kind];
	const int64_t counts[NR_HEAP_VALUES] = {
		[ALLOC_OBJECTS] = clamp(site->opened_count),
		[ALLOC_SPACE] = clamp(site->opened_bytes),
		[INUSE_OBJECTS] = clamp(site->live_count),
		[INUSE_SPACE] = clamp(site->live_bytes),
	};
	size_t i;

	if (site->key.kind == LB_KIND_GOPARK) {
		values[first + CONTENTIONS] =
			add_clamped(values[first + CONTENTIONS], clamp(site->closed_count));
		values[first + DELAY] =
			add_clamped(values[first + DELAY], clamp(site_waited_ns(site)));
		return site->closed_count > 0;
	}
	if (!kind_has_bytes((enum lb_kind)site->key.kind)) {
		values[first] = add_clamped(values[first], counts[INUSE_OBJECTS]);
		return counts[INUSE_OBJECTS] > 0;
	}
	for (i = 0; i < NR_HEAP_VALUES; i++)
		values[first + i] = add_clamped(values[first + i], counts[i]);
	return counts[ALLOC_OBJECTS] > 0 || counts[INUSE_OBJECTS] > 0;
}

/* --- samples --- */

static void add_labels(struct writing *writing, Perftools__Profiles__Sample *sample,
		       const struct finding *finding)
{
	const struct lb_site_key *key = &finding->site.key;
	struct profile *profile = &writing->profile;

	profile_label_text(profile, sample, "comm", report_comm(writing->report, key->tgid));
	profile_label_text(profile, sample, "kind", kind_name((enum lb_kind)key->kind));
	if (writing->report->duration_s > 0)
		profile_label_text(profile, sample, "verdict", verdict_name(finding->verdict));
	if (finding->site.state)
		profile_label_text(profile, sample, "state", finding->site.state);
	profile_label_number(profile, sample, "pid", key->tgid);
}

/* Is there room for @finding and the sample of what has no room? */
static bool has_room(const struct writing *writing, const struct finding *finding, size_t nr_left)
{
	const struct profile *profile = &writing->profile;
	size_t bytes = SAMPLE_BYTES + SPARE_BYTES, nr_samples;

	if (profile->error)
		return false;
	nr_samples = profile->message->n_sample + (nr_left > 1 || writing->nr_truncated > 0);
	if (nr_samples >= MAX_SAMPLES)
		return false;
	if (finding->stack)
		bytes += profile_stack_bytes(finding->stack) +
			 WORD_BYTES * finding->stack->nr_frames;
	if (finding->site.state)
		bytes += 3 * strlen(finding->site.state);
	return profile->raw_bytes + bytes <= MAX_RAW_BYTES;
}

static void write_sample(struct writing *writing, const struct finding *finding, size_t nr_left)
{
	const struct stack *stack = finding->stack;
	struct profile *profile = &writing->profile;
	Perftools__Profiles__Sample *sample;

	if (!has_room(writing, finding, nr_left)) {
		add_values(&writing->columns, &finding->site, writing->truncated);
		writing->nr_truncated++;
		return;
	}
	sample = profile_add_sample(profile, stack ? stack->nr_frames : 1);
	if (!sample)
		return;
	add_values(&writing->columns, &finding->site, sample->value);
	profile_add_stack(profile, sample, stack);
	add_labels(writing, sample, finding);
	profile_end_sample(profile, sample);
}

static void write_truncated(struct writing *writing)
{
	struct buf comment __cleanup_buf = { 0 };
	struct profile *profile = &writing->profile;
	Perftools__Profiles__Sample *sample;

	if (writing->nr_truncated == 0)
		return;
	sample = profile_add_sample(profile, 1);
	if (!sample)
		return;
	memcpy(sample->value, writing->truncated, sample->n_value * sizeof(*sample->value));
	sample->location_id[sample->n_location_id++] =
		profile_pseudo_location(profile, "[truncated]");
	profile_end_sample(profile, sample);
	text_count(&comment, writing->nr_truncated, "site");
	buf_puts(&comment, " found no room and are summed in [truncated]");
	profile_add_comment(profile, comment.data ? comment.data : "");
}

/* --- which sites, in which order --- */

/* The alarming ones in their order, then the others by what they keep. */
static int compare_findings(const void *left, const void *right)
{
	const struct finding *a = *(const struct finding *const *)left;
	const struct finding *b = *(const struct finding *const *)right;
	bool a_is_stable = a->verdict == VERDICT_STABLE, b_is_stable = b->verdict == VERDICT_STABLE;

	if (a_is_stable != b_is_stable)
		return a_is_stable ? 1 : -1;
	if (a_is_stable && a->site.live_bytes != b->site.live_bytes)
		return a->site.live_bytes < b->site.live_bytes ? 1 : -1;
	return a < b ? -1 : a > b;
}

/* The findings to write, which count something. Returns their number. */
static size_t choose_findings(const struct finding **chosen, const struct report *report,
			      const struct report_options *options)
{
	const struct columns none = { 0 };
	size_t shown = findings_shown(report, options), nr = 0, i;

	for (i = 0; i < shown; i++) {
		int64_t values[NR_HEAP_VALUES] = { 0 };

		if (report->findings[i].site.key.kind < LB_KIND_MAX &&
		    add_values(&none, &report->findings[i].site, values))
			chosen[nr++] = &report->findings[i];
	}
	qsort(chosen, nr, sizeof(struct finding *), compare_findings);
	return nr;
}

/* Readers take the first mapping for the program: it is the one of the first target. */
static void write_program(struct writing *writing, const struct finding *const *findings, size_t nr)
{
	const char *exe = writing->report->nr_targets ? writing->report->targets[0].exe : NULL;
	size_t i, k;

	for (i = 0; exe && i < nr; i++) {
		const struct stack *stack = findings[i]->stack;

		for (k = 0; stack && k < stack->nr_frames; k++) {
			const struct frame *frame = &stack->frames[k];

			if (!frame->module || strcmp(frame->module, exe) != 0)
				continue;
			profile_mapping(&writing->profile, frame->mapping, exe);
			return;
		}
	}
	if (exe)
		profile_mapping(&writing->profile, NULL, exe);
}

/* --- the whole --- */

static void write_facts(struct profile *profile, const struct report *report)
{
	struct buf text __cleanup_buf = { 0 };

	buf_puts(&text, "leakbpf: ");
	text_targets(&text, report);
	if (report->duration_s > 0) {
		buf_puts(&text, ", watched ");
		text_seconds(&text, report->duration_s);
	} else {
		buf_puts(&text, " at one moment");
	}
	text_incomplete(&text, report);
	if (report->duration_s > 0)
		buf_puts(&text, "; nothing from before the watch is counted");
	profile_add_comment(profile, text.data ? text.data : "");
	if (profile->error)
		return;
	profile->message->time_nanos = clamp((uint64_t)report->wall_s * NSEC_PER_SEC);
	profile->message->duration_nanos = (int64_t)(report->duration_s * NSEC_PER_S);
}

static void write_profile(struct writing *writing, const struct report_options *options)
{
	const struct report *report = writing->report;
	const struct finding **findings = calloc(report->nr_findings + 1, sizeof(*findings));
	struct profile *profile = &writing->profile;
	size_t nr, i;

	if (!findings) {
		profile->error = -ENOMEM;
		return;
	}
	nr = choose_findings(findings, report, options);
	find_columns(&writing->columns, findings, nr);
	write_types(profile, &writing->columns);
	write_facts(profile, report);
	write_program(writing, findings, nr);
	for (i = 0; i < nr; i++)
		write_sample(writing, findings[i], nr - i);
	write_truncated(writing);
	free(findings);
}

/* The header of gzip has no name and no time: equal profiles are equal files. */
static int compress_to(FILE *out, uint8_t *raw, size_t len)
{
	z_stream stream = { .next_in = raw, .avail_in = (uInt)len };
	size_t size;
	uint8_t *packed;
	int code;

	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_BITS, MAX_MEM_LEVEL,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	size = deflateBound(&stream, len);
	packed = malloc(size);
	stream.next_out = packed;
	stream.avail_out = (uInt)size;
	code = packed && deflate(&stream, Z_FINISH) == Z_STREAM_END ? 0 : -ENOMEM;
	if (!code)
		fwrite(packed, 1, stream.total_out, out);
	deflateEnd(&stream);
	free(packed);
	return code;
}

int write_profile_message(FILE *out, const struct profile *profile)
{
	size_t len = perftools__profiles__profile__get_packed_size(profile->message);
	uint8_t *raw = malloc(len + 1);
	int code;

	if (!raw)
		return -ENOMEM;
	perftools__profiles__profile__pack(profile->message, raw);
	code = compress_to(out, raw, len);
	free(raw);
	return code;
}

void write_pprof(FILE *out, const struct report *report, const struct report_options *options)
{
	struct writing writing = { .report = report };
	int code;

	profile_begin(&writing.profile);
	write_profile(&writing, options);
	code = writing.profile.error;
	if (!code)
		code = write_profile_message(out, &writing.profile);
	profile_done(&writing.profile);
	if (code)
		errno = -code;
}
