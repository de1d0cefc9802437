/* SPDX-License-Identifier: GPL-2.0-only */
/* The goroutines of the targets: looked at from outside, no probe is needed. What is read there also
 * names what those wait for whose waits are probed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/session.h"
#include "golang/golang.h"

#define SPINNING_CONFIDENCE 0.5 /* it may be honest work */
#define MAX_TRIES           10  /* polls after which a Go runtime should have begun */

/* One target whose goroutines are looked for. */
struct watched {
	pid_t pid;
	uint64_t code_mark;            /* of its code when they were last looked for */
	unsigned int nr_tries;         /* looks at a runtime that could not be read */
	struct goroutine_watch *watch; /* NULL: there are none */
};

struct gowatch {
	struct watched *entries;
	size_t nr_entries, capacity;
};

struct gowatch *gowatch_new(void)
{
	return calloc(1, sizeof(struct gowatch));
}

struct gowatch *gowatch_free(struct gowatch *gowatch)
{
	if (!gowatch)
		return NULL;
	for (size_t i = 0; i < gowatch->nr_entries; i++)
		goroutine_watch_free(gowatch->entries[i].watch);
	free(gowatch->entries);
	free(gowatch);
	return NULL;
}

static struct watched *entry_find(const struct gowatch *gowatch, pid_t pid)
{
	for (size_t i = 0; i < gowatch->nr_entries; i++)
		if (gowatch->entries[i].pid == pid)
			return &gowatch->entries[i];
	return NULL;
}

static struct watched *entry_get(struct gowatch *gowatch, pid_t pid)
{
	struct watched *entry = entry_find(gowatch, pid);
	void *entries = gowatch->entries;
	int err;

	if (entry)
		return entry;
	err = vec_reserve(&entries, &gowatch->capacity, gowatch->nr_entries + 1, sizeof(*entry));
	gowatch->entries = entries;
	if (err)
		return NULL;
	entry = &gowatch->entries[gowatch->nr_entries++];
	*entry = (struct watched){ .pid = pid };
	return entry;
}

void gowatch_forget(struct gowatch *gowatch, pid_t pid)
{
	struct watched *entry = entry_find(gowatch, pid);

	if (!entry)
		return;
	goroutine_watch_free(entry->watch);
	*entry = gowatch->entries[--gowatch->nr_entries];
}

/* Looks for a Go runtime in what @target has mapped since the last time. */
static void look_for_runtime(struct watched *entry, const struct target *target, uint64_t code_mark)
{
	struct error error = { 0 };
	int code;

	if (entry->watch || target->exited || entry->code_mark == code_mark)
		return;
	code = goroutine_watch_open(target, &entry->watch, &error);
	if (code && !entry->nr_tries++ && target->runtime == RUNTIME_GO)
		log_write(LOG_NORMAL, "goroutines are not seen: %s", error.text);
	if (!code && entry->nr_tries)
		log_write(LOG_NORMAL, "goroutines of PID %d are seen now", (int)target->pid);
	if (code == -ENOTSUP && entry->nr_tries < MAX_TRIES) /* it may have only just begun */
		return;
	entry->code_mark = code_mark;
	entry->nr_tries = 0;
}

static void poll_target(struct watched *entry, const struct target *target,
			const struct epochs *epochs)
{
	struct error error = { 0 };

	if (goroutine_watch_poll(entry->watch, epochs, &error))
		log_write(target->exited ? LOG_DEBUG : LOG_VERBOSE, "%s", error.text);
}

/* Says of each site of waits what is waited for. */
static void name_waits(const struct gowatch *gowatch, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->nr_sites; i++) {
		struct site_count *site = &snapshot->sites[i];
		const struct watched *entry =
			site->wait_reason ? entry_find(gowatch, (pid_t)site->key.tgid) : NULL;

		if (entry && entry->watch)
			site->state = goroutine_watch_reason(entry->watch, site->wait_reason);
	}
}

int gowatch_add(struct session *session, struct snapshot *snapshot)
{
	const unsigned int goroutine = 1U << LB_KIND_GOROUTINE, gopark = 1U << LB_KIND_GOPARK;
	const struct epochs *epochs = &snapshot->epochs;
	unsigned int kinds = session->options->kinds;
	int code = 0;

	if (!(kinds & (goroutine | gopark)))
		return 0;
	for (size_t i = 0; i < session->nr_targets && !code; i++) {
		const struct target *target = &session->targets[i];
		struct watched *entry = entry_get(session->gowatch, target->pid);

		if (!entry)
			return -ENOMEM;
		look_for_runtime(entry, target, session->code_marks[i]);
		if (!entry->watch || !(kinds & goroutine))
			continue;
		poll_target(entry, target, epochs);
		code = goroutine_watch_add(entry->watch, snapshot);
	}
	name_waits(session->gowatch, snapshot);
	return code;
}

const struct stack *gowatch_stack(const struct gowatch *gowatch, const struct lb_site_key *key)
{
	const struct watched *entry = entry_find(gowatch, (pid_t)key->tgid);

	return entry && entry->watch ? goroutine_watch_stack(entry->watch, key->stack) : NULL;
}

/* The sentence about one that never waits at the finding's site; NULL: none. */
static const char *spinning_of(const struct gowatch *gowatch, const struct finding *finding)
{
	const struct lb_site_key *key = &finding->site.key;
	const struct watched *entry = entry_find(gowatch, (pid_t)key->tgid);

	if (key->kind != LB_KIND_GOROUTINE || !entry || !entry->watch)
		return NULL;
	return goroutine_watch_spinning(entry->watch, key->stack);
}

/* How many of the findings, which are sorted, are not stable. */
static size_t count_alarming(const struct session *session)
{
	size_t nr = 0;

	while (nr < session->nr_findings && session->findings[nr].verdict != VERDICT_STABLE)
		nr++;
	return nr;
}

void gowatch_suspect(struct session *session)
{
	struct finding *findings = session->findings;
	size_t nr = count_alarming(session);

	session->nr_spinning = 0;
	for (size_t i = nr; i < session->nr_findings; i++) {
		struct finding finding = findings[i];
		const char *sentence = spinning_of(session->gowatch, &finding);

		if (!sentence)
			continue;
		finding.verdict = VERDICT_SUSPECT;
		finding.confidence = SPINNING_CONFIDENCE;
		finding.site.state = "spinning";
		finding.site.proof = sentence;
		memmove(&findings[nr + 1], &findings[nr], (i - nr) * sizeof(*findings));
		findings[nr++] = finding;
		session->nr_spinning++;
	}
}
