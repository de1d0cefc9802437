/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is a pointer left to what a growing site keeps? Asked when the counts alone can not tell a leak from
 * a cache: of each process at most once while the time of the watch doubles, and for a report.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/session.h"
#include "reach/reach.h"

#define KEEPS_SHARE     5 /* who closes one in so many does not need to be asked */
#define MIN_UNREACHABLE 5
#define THREAD_BLOCKS   6 /* pointers that a waiting thread may have in registers only */
#define MIN_AGE_NS      NSEC_PER_SEC
#define STEP_NS         (NSEC_PER_SEC / 20)
#define REPORT_NS       (15 * NSEC_PER_SEC) /* what a report waits for a process */
#define SHOWN_NS        NSEC_PER_SEC        /* people who wait longer are told why */
#define SLEEP_US        5000

#define REACHABLE "still reachable: a cache, a pool or data that grows"

/* A site that is asked about. */
struct suspect {
	struct lb_site_key key;
	uint32_t slot;
	uint64_t nr_checked, nr_unreachable;
};

/* The answer. */
struct outcome {
	struct lb_site_key key;
	const char *proof, *state; /* as in struct site_count */
};

/* When a process was asked. */
struct asked {
	pid_t pid;
	uint64_t end_ns;  /* of its last scan */
	uint64_t next_ns; /* no scan before, but for a report */
};

struct confirm {
	struct strings *strings;
	struct outcome *outcomes; /* owned */
	size_t nr_outcomes, outcomes_capacity;
	struct asked *asked; /* owned */
	size_t nr_asked, asked_capacity;
	/* The scan that is going on; reach NULL: none is. */
	struct reach *reach;
	pid_t pid;
	uint64_t begin_ns, age_ns;
	struct suspect *suspects; /* sorted by slot; owned */
	size_t nr_suspects, suspects_capacity;
	struct block *blocks; /* owned */
	size_t nr_blocks;
};

struct confirm *confirm_new(void)
{
	struct confirm *confirm = calloc(1, sizeof(*confirm));

	if (!confirm)
		return NULL;
	confirm->strings = strings_new();
	return confirm->strings ? confirm : confirm_free(confirm);
}

/* Ends the scan and frees what it took. */
static void scan_drop(struct confirm *confirm)
{
	confirm->reach = reach_free(confirm->reach);
	free(confirm->blocks);
	confirm->blocks = NULL;
	confirm->nr_suspects = 0;
}

struct confirm *confirm_free(struct confirm *confirm)
{
	if (!confirm)
		return NULL;
	scan_drop(confirm);
	strings_free(confirm->strings);
	free(confirm->outcomes);
	free(confirm->asked);
	free(confirm->suspects);
	free(confirm);
	return NULL;
}

/* --- answers --- */

/* Does the site close (nearly) nothing, so that counts can not tell a leak from a cache? */
static bool keeps_all(const struct site_count *site)
{
	return site->key.kind == LB_KIND_HEAP &&
	       site->closed_count < site->opened_count / KEEPS_SHARE;
}

static int compare_site(const void *key, const void *site)
{
	return site_key_compare(key, &((const struct site_count *)site)->key);
}

void confirm_apply(struct confirm *confirm, struct snapshot *snapshot)
{
	size_t kept = 0;

	for (size_t i = 0; i < confirm->nr_outcomes; i++) {
		const struct outcome *outcome = &confirm->outcomes[i];
		struct site_count *site =
			bsearch(&outcome->key, snapshot->sites, snapshot->nr_sites,
				sizeof(*snapshot->sites), compare_site);

		if (!site || !keeps_all(site))
			continue;
		site->proof = outcome->proof;
		site->state = outcome->state;
		confirm->outcomes[kept++] = *outcome;
	}
	confirm->nr_outcomes = kept;
}

/* The answer on a site, made when there is none; NULL: out of memory. */
static struct outcome *outcome_find(struct confirm *confirm, const struct lb_site_key *key)
{
	void *outcomes = confirm->outcomes;

	for (size_t i = 0; i < confirm->nr_outcomes; i++)
		if (site_key_compare(&confirm->outcomes[i].key, key) == 0)
			return &confirm->outcomes[i];
	if (vec_reserve(&outcomes, &confirm->outcomes_capacity, confirm->nr_outcomes + 1,
			sizeof(*confirm->outcomes)))
		return NULL;
	confirm->outcomes = outcomes;
	confirm->outcomes[confirm->nr_outcomes] = (struct outcome){ .key = *key };
	return &confirm->outcomes[confirm->nr_outcomes++];
}

/* Notes a proof: what has leaked once stays so unless pointers are found. */
static void outcome_prove(struct confirm *confirm, const struct lb_site_key *key, const char *proof)
{
	struct outcome *outcome = outcome_find(confirm, key);

	if (!outcome)
		return;
	outcome->proof = strings_intern(confirm->strings, proof);
	outcome->state = NULL;
}

/* Notes that nothing could be proved; an earlier proof stands. */
static void outcome_doubt(struct confirm *confirm, const struct lb_site_key *key, const char *state)
{
	struct outcome *outcome = outcome_find(confirm, key);

	if (outcome && !outcome->proof)
		outcome->state = strings_intern(confirm->strings, state);
}

static void outcome_withdraw(struct confirm *confirm, const struct lb_site_key *key)
{
	struct outcome *outcome = outcome_find(confirm, key);

	if (!outcome)
		return;
	outcome->proof = NULL;
	outcome->state = strings_intern(confirm->strings, REACHABLE);
}

/* Why objects without pointers prove nothing in this process; NULL: they do. */
static const char *find_doubt(const struct reach_facts *facts, const struct suspect *suspect)
{
	uint64_t hidden = (uint64_t)facts->nr_threads * THREAD_BLOCKS;
	uint64_t sure = suspect->nr_unreachable - MIN(hidden, suspect->nr_unreachable);

	if (facts->swapped_bytes > 0)
		return "a part of its memory is swapped out";
	if (facts->kernel_holds)
		return "the kernel may have some (asynchronous I/O)";
	if (sure < MIN_UNREACHABLE || sure < suspect->nr_checked / 2)
		return "there are too few objects, or too many threads with registers, to be sure";
	return NULL;
}

static void suspect_decide(struct confirm *confirm, const struct reach_facts *facts,
			   const struct suspect *suspect)
{
	const char *doubt = find_doubt(facts, suspect);
	struct buf text __cleanup_buf = { 0 };

	if (suspect->nr_checked < MIN_UNREACHABLE)
		return;
	if (suspect->nr_unreachable < suspect->nr_checked - suspect->nr_checked / 2) {
		outcome_withdraw(confirm, &suspect->key);
		return;
	}
	buf_printf(&text, "no pointer %s to %ju of its %ju objects older than %.0f s",
		   doubt ? "was found" : "is left", (uintmax_t)suspect->nr_unreachable,
		   (uintmax_t)suspect->nr_checked, (double)confirm->age_ns / (double)NSEC_PER_SEC);
	if (doubt) {
		buf_printf(&text, ", but %s", doubt);
		outcome_doubt(confirm, &suspect->key, text.data);
	} else {
		outcome_prove(confirm, &suspect->key, text.data);
	}
}

/* Says of all suspects why they were not checked. */
static void suspects_give_up(struct confirm *confirm, const char *why)
{
	struct buf text __cleanup_buf = { 0 };

	buf_printf(&text, "not checked for pointers: %s", why);
	for (size_t i = 0; i < confirm->nr_suspects; i++)
		outcome_doubt(confirm, &confirm->suspects[i].key, text.data);
}

/* --- a scan --- */

static int compare_slots(const void *left, const void *right)
{
	const struct suspect *a = left, *b = right;

	return (a->slot > b->slot) - (a->slot < b->slot);
}

/* Counts what was found of each suspect. What was closed meanwhile does not count. */
static void count_blocks(struct confirm *confirm, struct ledger *ledger)
{
	uint64_t before_ns = confirm->begin_ns - confirm->age_ns;

	for (size_t i = 0; i < confirm->nr_blocks; i++) {
		const struct block *block = &confirm->blocks[i];
		const struct suspect key = { .slot = block->slot };
		struct suspect *suspect;

		if (!block->judged)
			continue;
		suspect = bsearch(&key, confirm->suspects, confirm->nr_suspects, sizeof(key),
				  compare_slots);
		if (!suspect || !(block->reached || ledger_has_block(ledger, (uint32_t)confirm->pid,
								     block->address, before_ns)))
			continue;
		suspect->nr_checked++;
		suspect->nr_unreachable += !block->reached;
	}
}

static struct asked *asked_find(struct confirm *confirm, pid_t pid)
{
	void *asked = confirm->asked;

	for (size_t i = 0; i < confirm->nr_asked; i++)
		if (confirm->asked[i].pid == pid)
			return &confirm->asked[i];
	if (vec_reserve(&asked, &confirm->asked_capacity, confirm->nr_asked + 1,
			sizeof(*confirm->asked)))
		return NULL;
	confirm->asked = asked;
	confirm->asked[confirm->nr_asked] = (struct asked){ .pid = pid };
	return &confirm->asked[confirm->nr_asked++];
}

static void scan_judge(struct session *session)
{
	struct confirm *confirm = session->confirm;
	struct reach_facts facts = reach_facts(confirm->reach);

	count_blocks(confirm, session->ledger);
	for (size_t i = 0; i < confirm->nr_suspects; i++)
		suspect_decide(confirm, &facts, &confirm->suspects[i]);
	log_write(LOG_VERBOSE,
		  "PID %d: looked for pointers to %zu blocks (%zu suspect sites) in %u rounds: "
		  "%.1f MB, %.0f ms",
		  (int)confirm->pid, confirm->nr_blocks, confirm->nr_suspects, facts.nr_rounds,
		  (double)facts.read_bytes / 1e6, (double)facts.work_ns / 1e6);
}

/* Ends the scan with its answers. @code < 0: without; the sentence is told once. */
static void scan_end(struct session *session, int code, const char *why)
{
	struct confirm *confirm = session->confirm;
	struct asked *asked = asked_find(confirm, confirm->pid);
	uint64_t now_ns = clock_monotonic_ns();

	if (code >= 0) {
		scan_judge(session);
	} else if (code != -ESRCH) { /* of what has ended, what is known stays */
		log_write(asked && asked->end_ns ? LOG_VERBOSE : LOG_NORMAL,
			  "cannot look for pointers to the blocks of PID %d: %s", (int)confirm->pid,
			  why);
		suspects_give_up(confirm, why);
	}
	scan_drop(confirm);
	if (!asked)
		return;
	asked->end_ns = now_ns;
	asked->next_ns = now_ns + (now_ns - session->start_ns);
}

void confirm_step(struct session *session, uint64_t budget_ns)
{
	struct confirm *confirm = session->confirm;
	struct error error = { 0 };
	int code;

	if (!confirm->reach)
		return;
	code = reach_step(confirm->reach, budget_ns, &error);
	if (code)
		scan_end(session, code, error.text);
}

static bool is_suspect(const struct finding *finding)
{
	return finding->verdict >= VERDICT_GROWING && keeps_all(&finding->site);
}

static int suspects_collect(struct session *session, pid_t pid)
{
	struct confirm *confirm = session->confirm;

	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct finding *finding = &session->findings[i];
		struct suspect suspect = { .key = finding->site.key };
		void *suspects = confirm->suspects;

		if (!is_suspect(finding) || (pid_t)suspect.key.tgid != pid ||
		    ledger_slot(session->ledger, &suspect.key, &suspect.slot))
			continue;
		if (vec_reserve(&suspects, &confirm->suspects_capacity, confirm->nr_suspects + 1,
				sizeof(suspect)))
			return -ENOMEM;
		confirm->suspects = suspects;
		confirm->suspects[confirm->nr_suspects++] = suspect;
	}
	if (confirm->nr_suspects > 0)
		qsort(confirm->suspects, confirm->nr_suspects, sizeof(*confirm->suspects),
		      compare_slots);
	return 0;
}

static void scan_begin(struct session *session, pid_t pid)
{
	struct confirm *confirm = session->confirm;
	double interval_ns = session->options->interval_s * (double)NSEC_PER_SEC;
	struct error error = { 0 };
	int code;

	confirm->pid = pid;
	confirm->begin_ns = clock_monotonic_ns();
	confirm->age_ns = MAX(2 * (uint64_t)interval_ns, MIN_AGE_NS);
	code = suspects_collect(session, pid);
	if (!code)
		code = ledger_blocks(session->ledger, (uint32_t)pid,
				     confirm->begin_ns - confirm->age_ns, &confirm->blocks,
				     &confirm->nr_blocks);
	if (!code)
		code = reach_open(pid, confirm->blocks, confirm->nr_blocks, &confirm->reach,
				  &error);
	if (code)
		scan_end(session, code, error.text[0] ? error.text : strerror(-code));
}

static bool is_running(const struct session *session, pid_t pid)
{
	for (size_t i = 0; i < session->nr_targets; i++)
		if (session->targets[i].pid == pid && !session->targets[i].exited)
			return true;
	return false;
}

/* A process that is due; 0: none is. @since_ns: for a report those not asked since then are. */
static pid_t find_due(struct session *session, bool for_report, uint64_t since_ns)
{
	uint64_t now_ns = clock_monotonic_ns();

	for (size_t i = 0; i < session->nr_findings; i++) {
		const struct finding *finding = &session->findings[i];
		pid_t pid = (pid_t)finding->site.key.tgid;
		const struct asked *asked;

		if (!is_suspect(finding) || !is_running(session, pid))
			continue;
		asked = asked_find(session->confirm, pid);
		if (asked && (for_report ? asked->end_ns < since_ns : asked->next_ns <= now_ns))
			return pid;
	}
	return 0;
}

static void show_wait(pid_t pid, bool begin)
{
	if (!isatty(STDERR_FILENO) || log_get_level() == LOG_QUIET)
		return;
	if (begin)
		fprintf(stderr, "\r\033[Kleakbpf: looking for pointers in PID %d ...", (int)pid);
	else
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

/* Goes on with the scan to its end, but no longer than a report should wait. */
static void scan_finish(struct session *session)
{
	struct confirm *confirm = session->confirm;
	uint64_t start_ns = clock_monotonic_ns();
	bool shown = false;

	while (confirm->reach && clock_monotonic_ns() - start_ns < REPORT_NS) {
		session_relieve(session);
		confirm_step(session, STEP_NS);
		if (!shown && clock_monotonic_ns() - start_ns > SHOWN_NS) {
			show_wait(confirm->pid, true);
			shown = true;
		}
		usleep(SLEEP_US);
	}
	if (confirm->reach)
		scan_end(session, -ETIME, "it takes too long");
	if (shown)
		show_wait(0, false);
}

void session_confirm(struct session *session, bool for_report)
{
	uint64_t since_ns = clock_monotonic_ns();
	pid_t pid;

	if (session->options->no_confirm)
		return;
	if (for_report)
		scan_finish(session);
	while (!session->confirm->reach && (pid = find_due(session, for_report, since_ns)) > 0) {
		scan_begin(session, pid);
		if (for_report)
			scan_finish(session);
	}
}
