/* SPDX-License-Identifier: GPL-2.0-only */
#include "cmd/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cmd/recording.h"

#define RELIEVE_NS (NSEC_PER_SEC / 10)
#define NAMING_NS  (NSEC_PER_SEC / 2)  /* time to name stacks in one poll; the rest waits */
#define CONFIRM_NS (NSEC_PER_SEC / 20) /* time to look for pointers, out of RELIEVE_NS */
#define NS_PER_MS  1e6

static int out_of_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "out of memory");
}

/* The parts that need nothing but memory. */
static int session_init(struct session *session, const struct options *options, struct error *error)
{
	const struct trend_options trend = {
		.min_objects = options->min_objects,
		.interval_ns = (uint64_t)(options->interval_s * (double)NSEC_PER_SEC),
		.horizon_ns = (uint64_t)(options->horizon_s * (double)NSEC_PER_SEC),
		.min_bytes_per_day = TREND_MIN_BYTES_PER_DAY,
	};

	*session = (struct session){
		.options = options,
		.symbolizer = symbolizer_new(),
		.plans = plan_cache_new(),
		.trend = trend_new(&trend),
		.trend_options = trend,
		.confirm = confirm_new(),
		.gowatch = gowatch_new(),
		.shelter = shelter_new(),
	};
	if (session->symbolizer && session->plans && session->trend && session->confirm &&
	    session->gowatch && session->shelter)
		return 0;
	return out_of_memory(error);
}

static int open_tracer(struct session *session, struct error *error)
{
	const struct tracer_options options = {
		.mode = session->options->attach,
		.max_live = session->options->max_live,
		.follow = session->options->follow,
		.frame_pointers_only = session->options->frame_pointers_only,
	};
	int code = tracer_open(&options, &session->tracer, error);

	if (code)
		return code;
	code = ledger_open(tracer_skeleton(session->tracer), &session->ledger);
	if (code)
		return error_set(error, code, "cannot map the ledger: %s", strerror(-code));
	return 0;
}

/* Each process takes some descriptors, each file that is read another. Not before the program was
 * started, which keeps the limit that it would have had. */
static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int session_open(struct session *session, const struct options *options, progress *tell,
		 struct error *error)
{
	int code = session_init(session, options, error);
	size_t i;

	if (!code)
		code = recording_open(session, error);
	for (i = 0; !code && i < options->nr_pids; i++)
		code = session_add_target(session, options->pids[i], error);
	if (!code) {
		tell("loading", NULL);
		code = open_tracer(session, error);
	}
	if (!code && options->command)
		code = session_launch(session, error);
	raise_files();
	for (i = 0; !code && i < session->nr_targets; i++) {
		tell("attaching to", &session->targets[i]);
		code = session_attach(session, i, error);
	}
	if (code)
		return code;
	session->start_ns = clock_monotonic_ns();
	code = recording_begin(session, error);
	if (code)
		return code;
	tracer_activate(session->tracer);
	if (options->command)
		code = session_launched(session, error);
	return code ? code : session_poll(session, 0, false, error);
}

void session_done(struct session *session)
{
	size_t i;

	launch_end(&session->launch);
	recording_free(session->recording);
	ledger_free(session->ledger);
	tracer_free(session->tracer);
	trend_free(session->trend);
	confirm_free(session->confirm);
	gowatch_free(session->gowatch);
	shelter_free(session->shelter);
	plan_cache_free(session->plans);
	symbolizer_free(session->symbolizer);
	snapshot_done(&session->snapshot);
	for (i = 0; i < session->nr_targets; i++)
		target_done(&session->targets[i]);
	free(session->targets);
	free(session->code_marks);
	free(session->events);
	free(session->findings);
	*session = (struct session){ 0 };
}

void session_relieve(struct session *session)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (now_ns - session->relieved_ns < RELIEVE_NS)
		return;
	session->relieved_ns = now_ns;
	ledger_relieve(session->ledger);
	tracer_tick(session->tracer);
	confirm_step(session, CONFIRM_NS);
}

const struct stack *session_stack(struct session *session, const struct lb_site_key *key)
{
	const struct stack *stack = NULL;
	const uint64_t *pcs;
	uint32_t flags;
	size_t nr;

	if (key->kind == LB_KIND_GOROUTINE)
		return gowatch_stack(session->gowatch, key);
	nr = ledger_stack(session->ledger, key->stack, &pcs, &flags);
	if (nr > 0)
		symbolizer_stack(session->symbolizer, (pid_t)key->tgid, key->stack, pcs, nr, flags,
				 &stack);
	return stack;
}

/* Names the stacks, the worst first. @limit_ns: leave the others unnamed after that time. */
static void name_findings(struct session *session, uint64_t limit_ns)
{
	uint64_t start_ns = clock_monotonic_ns();
	size_t i;

	for (i = 0; i < session->nr_findings; i++) {
		if (clock_monotonic_ns() - start_ns > limit_ns)
			return;
		session->findings[i].stack = session_stack(session, &session->findings[i].site.key);
		session_relieve(session);
	}
}

static void sum_up(struct session *session)
{
	const struct snapshot *snapshot = &session->snapshot;
	size_t i;

	session->nr_sites = snapshot->nr_sites;
	session->live_count = session->live_bytes = 0;
	for (i = 0; i < snapshot->nr_sites; i++) {
		session->live_count += snapshot->sites[i].live_count;
		if (kind_has_bytes((enum lb_kind)snapshot->sites[i].key.kind))
			session->live_bytes += snapshot->sites[i].live_bytes;
	}
}

static double ms_since(uint64_t start_ns)
{
	return (double)(clock_monotonic_ns() - start_ns) / NS_PER_MS;
}

/* The sites are sorted by process. */
static void mark_ended(const struct session *session, struct snapshot *snapshot)
{
	uint32_t tgid = 0;
	bool ended = false;

	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		struct site_count *site = &snapshot->sites[i];

		if (tgid != site->key.tgid) {
			tgid = site->key.tgid;
			ended = !session_living(session, tgid);
		}
		site->ended = ended;
	}
}

/* Reads it again when some of what was read turns out to be an allocator's own. */
static int read_sites(struct session *session, uint64_t now_ns, bool walked)
{
	int code;

	do {
		snapshot_done(&session->snapshot);
		code = ledger_read(session->ledger, now_ns, walked, &session->snapshot);
	} while (!code && session_shelter(session) > 0);
	return code;
}

static int read_ledger(struct session *session, bool with_ages, struct error *error)
{
	uint64_t now_ns = clock_monotonic_ns(), start_ns = now_ns;
	struct epochs epochs = trend_epochs(session->trend, now_ns);
	bool walk = with_ages || epochs.nr > 0;
	int code = walk ? ledger_walk(session->ledger, &epochs) : 0;

	if (walk)
		session->walk_ms = ms_since(start_ns);
	start_ns = clock_monotonic_ns();
	if (!code)
		code = read_sites(session, now_ns, walk);
	if (!code)
		code = gowatch_add(session, &session->snapshot);
	if (code)
		return code;
	session->nr_polls++;
	sum_up(session);
	session_group(session, &session->snapshot);
	confirm_apply(session->confirm, &session->snapshot);
	mark_ended(session, &session->snapshot);
	code = trend_push(session->trend, &session->snapshot);
	if (!code)
		code = recording_append(session, &session->snapshot, error);
	snapshot_done(&session->snapshot); /* large when there are many sites */
	ledger_forget_walk(session->ledger);
	session->poll_ms = ms_since(start_ns);
	return code;
}

static void suppress(struct session *session)
{
	struct filter *filter = session->options->filter;

	memset(session->nr_suppressed, 0, sizeof(session->nr_suppressed));
	if (filter)
		session->nr_findings = findings_suppress(
			filter, session->findings, session->nr_findings, session->nr_suppressed);
}

int session_poll(struct session *session, size_t max_findings, bool with_ages, struct error *error)
{
	uint64_t start_ns;
	struct finding *findings;
	size_t nr;
	int code;

	session_confirm(session, with_ages);
	code = read_ledger(session, with_ages, error);
	start_ns = clock_monotonic_ns();
	if (!code)
		code = trend_judge(session->trend, max_findings, &findings, &nr);
	if (code)
		return error->text[0] ? code
				      : error_set(error, code, "cannot read the ledger: %s",
						  strerror(-code));
	free(session->findings);
	session->findings = findings;
	session->nr_findings = nr;
	gowatch_suspect(session);
	session->poll_ms += ms_since(start_ns);
	log_write(LOG_DEBUG, "poll %u: %zu sites, %.1f ms", session->nr_polls, session->nr_sites,
		  session->poll_ms);
	name_findings(session, with_ages ? UINT64_MAX : NAMING_NS);
	suppress(session);
	symbolizer_trim(session->symbolizer);
	return 0;
}

static struct unwind_cost unwind_cost(const struct session *session)
{
	struct unwind_totals totals;

	tracer_unwind_totals(session->tracer, &totals);
	return (struct unwind_cost){
		.nr_tables = totals.nr_tables,
		.nr_rows = totals.nr_rows,
		.bytes = totals.row_bytes,
		.parse_ms = (double)totals.parse_ns / NS_PER_MS,
	};
}

double session_seconds(const struct session *session)
{
	return (double)(clock_monotonic_ns() - session->start_ns) / (double)NSEC_PER_SEC;
}

struct report session_report(const struct session *session)
{
	struct report report = {
		.duration_s = session_seconds(session),
		.wall_s = time(NULL),
		.nr_polls = session->nr_polls,
		.judged = trend_can_judge(session->trend),
		.polls_needed = TREND_MIN_POLLS,
		.targets = session->targets,
		.nr_targets = session->nr_targets,
		.findings = session->findings,
		.nr_findings = session->nr_findings,
		.nr_missed_children = session->nr_missed_children,
		.nr_sites = session->nr_sites,
		.live_count = session->live_count,
		.live_bytes = session->live_bytes,
		.snapshot = &session->snapshot,
		.attach_mode = attach_mode_name(tracer_mode(session->tracer)),
		.poll_ms = session->poll_ms,
		.walk_ms = session->walk_ms,
		.unwind = unwind_cost(session),
	};

	report.outlook = outlook_of(session);
	trend_count(session->trend, report.verdicts);
	report.verdicts[VERDICT_STABLE] -= session->nr_spinning;
	report.verdicts[VERDICT_SUSPECT] += session->nr_spinning;
	for (size_t i = 0; i <= VERDICT_LEAKING; i++) {
		report.verdicts[i] -= session->nr_suppressed[i];
		report.nr_suppressed += session->nr_suppressed[i];
	}
	if (session->options->filter)
		report.nr_suppressors = filter_used(session->options->filter);
	return report;
}
