/* SPDX-License-Identifier: GPL-2.0-only */
/* The targets of a watch: found, planned, attached, ended. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/session.h"

/* Ended processes whose sites are kept for the report; with --follow there may be very many. */
#define MAX_ENDED 32
#define CLEAN_NS  (NSEC_PER_SEC / 10)

int session_add_target(struct session *session, pid_t pid, struct error *error)
{
	void *targets = session->targets, *marks = session->code_marks;
	struct target target = { 0 };
	size_t wanted = session->nr_targets + 1;
	int code = target_open(pid, &target, error);

	if (code)
		return code;
	code = vec_reserve(&targets, &session->capacity, wanted, sizeof(target));
	session->targets = targets;
	if (!code) {
		code = vec_reserve(&marks, &session->marks_capacity, wanted, sizeof(uint64_t));
		session->code_marks = marks;
	}
	if (code) {
		target_done(&target);
		return error_set(error, code, "out of memory");
	}
	session->code_marks[session->nr_targets] = 0;
	session->targets[session->nr_targets++] = target;
	return 0;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x9e3779b97f4a7c15ULL + (hash >> 29);
}

/* A number that changes when what is mapped executable does. Never 0. */
static uint64_t code_mark(const struct maps *maps)
{
	uint64_t hash = 1;
	size_t i;

	for (i = 0; i < maps->nr_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];

		if (mapping->perms[2] != 'x' || !mapping->inode)
			continue;
		hash = mix(mix(mix(hash, mapping->start), mapping->end), mapping->inode);
	}
	return hash ? hash : 1;
}

DEFINE_CLEANUP(maps, struct maps, maps_done(value))
DEFINE_CLEANUP(plan, struct plan, plan_done(value))

int session_attach(struct session *session, size_t at, struct error *error)
{
	struct target *target = &session->targets[at];
	struct maps maps __cleanup_of(maps) = { 0 };
	struct plan plan __cleanup_of(plan) = { 0 };
	int code = maps_read(target->pid, &maps);

	if (code)
		return error_set(error, code, "cannot read the mappings of PID %d (%s): %s",
				 (int)target->pid, target->comm, strerror(-code));
	if (code_mark(&maps) == session->code_marks[at])
		return 0;
	code = symbolizer_refresh(session->symbolizer, target->pid);
	if (code)
		return error_set(error, code, "cannot read the code of PID %d (%s): %s",
				 (int)target->pid, target->comm, strerror(-code));
	code = plan_build(session->plans, target->pid, &maps, session->options->kinds, &plan,
			  error);
	if (code)
		return code;
	if (shelter_learn(session->shelter, &plan))
		return error_set(error, -ENOMEM, "out of memory");
	code = tracer_attach(session->tracer, target->pid, &plan, error);
	if (code)
		return code;
	session->code_marks[at] = code_mark(&maps);
	code = target_describe(target, &plan);
	return code ? error_set(error, code, "out of memory") : 0;
}

int session_launch(struct session *session, struct error *error)
{
	int code = launch_start(session->options->command, &session->launch, error);

	return code ? code : session_add_target(session, session->launch.pid, error);
}

int session_launched(struct session *session, struct error *error)
{
	int code;

	while ((code = launch_next(&session->launch, error)) == 1) {
		code = session_attach(session, 0, error);
		if (code)
			return code;
	}
	return code;
}

struct target *session_living(const struct session *session, uint32_t pid)
{
	size_t i;

	for (i = 0; i < session->nr_targets; i++) {
		if ((uint32_t)session->targets[i].pid == pid && !session->targets[i].exited)
			return &session->targets[i];
	}
	return NULL;
}

/* Attaches again after the process changed. What fails is left for the next poll to try. */
static void target_update(struct session *session, const struct target *target)
{
	struct error error = { 0 };

	if (session_attach(session, (size_t)(target - session->targets), &error))
		log_write(LOG_VERBOSE, "%s", error.text);
}

/* Drops target @at with all that is known of it. */
static void target_forget(struct session *session, size_t at)
{
	struct target *target = &session->targets[at];
	size_t after = session->nr_targets - at - 1;

	ledger_forget(session->ledger, (uint32_t)target->pid);
	symbolizer_forget(session->symbolizer, target->pid);
	gowatch_forget(session->gowatch, target->pid);
	target_done(target);
	memmove(target, target + 1, after * sizeof(*target));
	memmove(&session->code_marks[at], &session->code_marks[at + 1],
		after * sizeof(*session->code_marks));
	session->nr_targets--;
}

/* Forgets the first that ended when too many are kept. */
static void targets_bound(struct session *session)
{
	size_t ended = 0, first = 0, i;

	for (i = session->nr_targets; i-- > 0;) {
		if (session->targets[i].exited) {
			ended++;
			first = i;
		}
	}
	if (ended > MAX_ENDED)
		target_forget(session, first);
}

static void target_end(struct session *session, struct target *target)
{
	target->exited = true;
	tracer_detach(session->tracer, target->pid);
	targets_bound(session);
}

/* A process that has ended and whose number @pid another one has now: the kernel side can not tell
 * them apart. Returns whether @pid is one that is watched already. */
static bool session_forget_namesakes(struct session *session, pid_t pid)
{
	for (size_t i = session->nr_targets; i-- > 0;) {
		if (session->targets[i].pid != pid)
			continue;
		if (target_is_alive(&session->targets[i]))
			return true;
		if (!session->targets[i].exited) /* else that is done, and a new child is marked */
			tracer_detach(session->tracer, pid);
		target_forget(session, i);
	}
	return false;
}

static void on_fork(struct session *session, pid_t child)
{
	struct error error = { 0 };
	int code;

	if (!session->options->follow) {
		session->has_children = true;
		return;
	}
	if (session_forget_namesakes(session, child))
		return;
	code = session_add_target(session, child, &error);
	if (!code) {
		code = session_attach(session, session->nr_targets - 1, &error);
		if (!code)
			return;
		target_forget(session, session->nr_targets - 1);
	}
	tracer_detach(session->tracer, child); /* it may have come half way */
	session->nr_missed_children++;
	log_write(LOG_VERBOSE, "child %d is not watched: %s", (int)child, error.text);
}

/* The process runs another program now: what the old one had open is gone with its memory. */
static void on_exec(struct session *session, struct target *target, uint64_t time_ns)
{
	struct error error = { 0 };
	struct target fresh;

	ledger_close_process(session->ledger, (uint32_t)target->pid, time_ns);
	if (target_open(target->pid, &fresh, &error)) {
		log_write(LOG_VERBOSE, "%s", error.text);
		return;
	}
	symbolizer_forget(session->symbolizer, target->pid);
	gowatch_forget(session->gowatch, target->pid);
	target_done(target);
	*target = fresh;
	session->code_marks[target - session->targets] = 0;
	target_update(session, target);
}

static void handle_event(struct session *session, const struct lb_event *event)
{
	struct target *target = session_living(session, event->tgid);

	if (event->type == LB_EVENT_FORK) {
		/* also of a child that is not watched yet, or has ended */
		on_fork(session, (pid_t)event->other);
		return;
	}
	if (!target)
		return;
	switch (event->type) {
	case LB_EVENT_EXEC:
		on_exec(session, target, event->time_ns);
		break;
	case LB_EVENT_EXIT:
		session->is_ending = true; /* it still runs its last instructions */
		break;
	case LB_EVENT_MAPPED:
		target_update(session, target);
		break;
	default:
		break;
	}
}

/* Called while the ring buffer is read: only notes the event. */
static void note_event(const struct lb_event *event, void *context)
{
	struct session *session = context;
	void *events = session->events;

	if (vec_reserve(&events, &session->events_capacity, session->nr_events + 1, sizeof(*event)))
		return; /* the next poll's scan makes good for it */
	session->events = events;
	session->events[session->nr_events++] = *event;
}

/* A storm of forks has it done ten times a second. */
void session_clean_children(struct session *session)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (!session->has_children || now_ns - session->cleaned_ns < CLEAN_NS)
		return;
	session->has_children = false;
	session->cleaned_ns = now_ns;
	tracer_clean_children(session->tracer);
}

void session_handle_events(struct session *session)
{
	size_t i;

	tracer_read_events(session->tracer, note_event, session);
	for (i = 0; i < session->nr_events; i++)
		handle_event(session, &session->events[i]);
	session->nr_events = 0;
	session_clean_children(session);
}

void session_notice_ends(struct session *session)
{
	size_t i;

	if (!session->is_ending)
		return;
	for (i = session->nr_targets; i-- > 0;) {
		if (!session->targets[i].exited && !target_is_alive(&session->targets[i]))
			target_end(session, &session->targets[i]);
	}
}

void session_rescan(struct session *session)
{
	size_t i;

	session->is_ending = false;
	for (i = session->nr_targets; i-- > 0;) {
		struct target *target = &session->targets[i];

		if (target->exited)
			continue;
		if (target_is_alive(target))
			target_update(session, target);
		else
			target_end(session, target);
	}
}

bool session_is_alive(const struct session *session)
{
	size_t i;

	for (i = 0; i < session->nr_targets; i++) {
		if (!session->targets[i].exited)
			return true;
	}
	return false;
}
