/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * leakbpf watch: one thread, one poll(2). Every 100 ms the ledger is relieved; every interval it
 * is read, judged and shown; signals and events of the targets come through descriptors.
 */
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/output.h"
#include "cmd/recording.h"
#include "cmd/screen.h"
#include "cmd/session.h"

#define TICK_MS 100
/* Larger allocations go back to the system when freed: a snapshot of many sites is large, and one
 * is made for each poll. */
#define GIVE_BACK_BYTES (256 * 1024)

#define LIVE_FINDINGS  200  /* kept from poll to poll */
#define FINAL_FINDINGS 1000 /* in a report without --all-sites */

struct watch {
	const struct options *options;
	struct session session;
	struct screen screen;
	uint64_t next_poll_ns;
	bool stopping;
	bool failed; /* what a check looks for was found */
};

static uint64_t seconds_ns(double seconds)
{
	return (uint64_t)(seconds * (double)NSEC_PER_SEC);
}

/* A line on the terminal that the next one replaces. */
static void tell_progress(const char *what, const struct target *target)
{
	if (!isatty(STDERR_FILENO) || log_get_level() == LOG_QUIET)
		return;
	if (!what)
		fputs("\r\033[K", stderr);
	else if (target)
		fprintf(stderr, "\r\033[Kleakbpf: %s PID %d ...", what, (int)target->pid);
	else
		fprintf(stderr, "\r\033[Kleakbpf: %s ...", what);
	fflush(stderr);
}

/* From now on signals are read, not suffered. Returns the descriptor. */
static int open_signals(void)
{
	struct sigaction hangup;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	/* nohup(1) ignores it, which a blocked signal would not be */
	if (sigaction(SIGHUP, NULL, &hangup) != 0 || hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* The next Ctrl-C ends the program at once. */
static void restore_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Is there what fails a check? Says so when that can not be known. */
static bool check_fails(const struct options *options, const struct report *report)
{
	size_t i;

	for (i = 0; i < report->nr_findings; i++) {
		const struct finding *finding = &report->findings[i];

		if (finding->verdict >= options->fail_on &&
		    finding->confidence >= options->min_confidence)
			return true;
	}
	if (report->judged)
		return false;
	fprintf(stderr,
		"leakbpf: warning: too short for a verdict: %u polls, %u needed; watch longer or "
		"poll more often (-i)\n",
		report->nr_polls, report->polls_needed);
	return options->fail_on_short;
}

/* Reads the ledger once more, with ages, and writes the report. */
static int write_report(struct watch *watch, struct error *error)
{
	struct report_options look = screen_report_options(watch->options);
	bool all = watch->options->all_sites || watch->options->filter ||
		   report_is_profile(watch->options->format);
	size_t max = all ? SIZE_MAX : FINAL_FINDINGS;
	struct report report;
	int code;

	screen_leave(&watch->screen);
	code = session_poll(&watch->session, max, true, error);
	if (code)
		return code;
	report = session_report(&watch->session);
	if (watch->options->check)
		watch->failed = check_fails(watch->options, &report);
	return output_write(watch->options->output, &report, &look, error);
}

/* The last report; of a watch that only records, the last poll. */
static int end_watch(struct watch *watch, struct error *error)
{
	bool record_only = watch->options->record_only;
	int code = record_only ? session_poll(&watch->session, 0, true, error)
			       : write_report(watch, error);
	int unrecorded = code && code != -EPIPE ? 0 : recording_end(&watch->session, error);

	if (unrecorded)
		return unrecorded;
	if (!code && record_only)
		recording_tell(&watch->session);
	return code;
}

/* What the screen says of standard output, as a sentence. */
static int screen_result(int code, struct error *error)
{
	if (code == 0 || code == -EPIPE)
		return code;
	return error_set(error, code, "cannot write to standard output: %s", strerror(-code));
}

/* On the normal screen; the table is back at once when the report is somewhere else. */
static int report_now(struct watch *watch, struct error *error)
{
	struct error lost = { 0 };
	int code = write_report(watch, &lost);

	if (code == -EPIPE)
		return code;
	if (code)
		log_write(LOG_NORMAL, "%s; the watch goes on", lost.text);
	if (!watch->options->output)
		return 0;
	return screen_result(screen_draw(&watch->screen), error);
}

static int handle_signal(struct watch *watch, uint32_t signal_number, struct error *error)
{
	switch (signal_number) {
	case SIGUSR1:
		return report_now(watch, error);
	case SIGTSTP:
		return screen_result(screen_suspend(&watch->screen), error);
	case SIGCONT: /* whoever stopped it may have changed the terminal */
		screen_leave(&watch->screen);
		return screen_result(screen_draw(&watch->screen), error);
	case SIGWINCH:
		return screen_result(screen_draw(&watch->screen), error);
	default:
		watch->stopping = true;
		return 0;
	}
}

static int handle_signals(struct watch *watch, int fd, struct error *error)
{
	struct signalfd_siginfo info;
	int code = 0;

	while (!code && !watch->stopping && read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		code = handle_signal(watch, info.ssi_signo, error);
	return code;
}

static int handle_keys(struct watch *watch, struct error *error)
{
	int code = screen_handle_keys(&watch->screen);

	watch->stopping |= watch->screen.wants_end;
	return screen_result(code, error);
}

/* Is there a result that does not go to standard output? */
static bool has_other_result(const struct options *options)
{
	return options->check || options->record ||
	       (options->output && strcmp(options->output, "-") != 0);
}

/* Who only loses the lines of the polls goes on without them. */
static int show(struct watch *watch, struct error *error)
{
	struct report report = session_report(&watch->session);
	int code = screen_show(&watch->screen, &report);

	if (!code || watch->screen.mode != SCREEN_LINES || !has_other_result(watch->options))
		return screen_result(code, error);
	log_write(LOG_NORMAL, "cannot write to standard output: %s; polls are not shown any more",
		  strerror(-code));
	watch->screen.mode = SCREEN_NONE;
	return 0;
}

static int poll_once(struct watch *watch, struct error *error)
{
	int code;

	session_rescan(&watch->session);
	code = session_poll(&watch->session, LIVE_FINDINGS, false, error);
	return code ? code : show(watch, error);
}

/* Whatever is due now. The end needs no poll of its own: the report makes one. */
static int tick(struct watch *watch, struct error *error)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t interval_ns = seconds_ns(watch->options->interval_s);

	session_relieve(&watch->session);
	session_clean_children(&watch->session);
	session_notice_ends(&watch->session);
	if (watch->options->duration_s > 0 &&
	    now_ns - watch->session.start_ns >= seconds_ns(watch->options->duration_s)) {
		watch->stopping = true;
		return 0;
	}
	if (now_ns < watch->next_poll_ns)
		return 0;
	watch->next_poll_ns += interval_ns;
	if (watch->next_poll_ns < now_ns)
		watch->next_poll_ns = now_ns + interval_ns;
	return poll_once(watch, error);
}

static int run_loop(struct watch *watch, int signals, struct error *error)
{
	struct pollfd fds[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = tracer_event_fd(watch->session.tracer), .events = POLLIN },
		{ .fd = -1, .events = POLLIN },
	};
	int code = 0;

	watch->next_poll_ns = watch->session.start_ns + seconds_ns(watch->options->interval_s);
	while (!code && !watch->stopping && session_is_alive(&watch->session)) {
		fds[2].fd = screen_key_fd(&watch->screen);
		if (poll(fds, ARRAY_SIZE(fds), TICK_MS) < 0 && errno != EINTR)
			return error_set(error, -errno, "cannot wait for events: %s",
					 strerror(errno));
		if (fds[0].revents)
			code = handle_signals(watch, signals, error);
		if (!code && fds[1].revents)
			session_handle_events(&watch->session);
		if (!code && fds[2].revents)
			code = handle_keys(watch, error);
		if (!code && !watch->stopping)
			code = tick(watch, error);
	}
	return code;
}

static int watch_processes(struct watch *watch, struct error *error)
{
	int signals __cleanup_fd = -1;
	int code = output_check(watch->options->output, error);

	if (!code)
		code = session_open(&watch->session, watch->options, tell_progress, error);
	tell_progress(NULL, NULL);
	if (code)
		return code;
	signals = open_signals();
	if (signals < 0)
		return error_set(error, signals, "cannot receive signals: %s", strerror(-signals));
	log_write(LOG_VERBOSE, "attached, counting since now");
	code = screen_result(screen_open(&watch->screen, watch->options), error);
	if (!code)
		code = show(watch, error);
	if (!code)
		code = run_loop(watch, signals, error);
	screen_close(&watch->screen);
	restore_signals();
	return code ? code : end_watch(watch, error);
}

/* What became of the program that was started, and which rules did nothing. */
static void tell_command(const struct options *options, struct session *session)
{
	struct buf text __cleanup_buf = { 0 };
	const char *rule;
	size_t i;

	for (i = 0; options->filter && (rule = filter_unused(options->filter, i)); i++)
		log_write(LOG_VERBOSE, "matched nothing: %s", rule);
	launch_end(&session->launch);
	if (session->launch.pid <= 0 || log_get_level() == LOG_QUIET)
		return;
	launch_describe(&text, &session->launch);
	fprintf(stderr, "leakbpf: '%s' %s\n", options->command[0], text.data ? text.data : "ended");
}

static enum log_level level_of(const struct options *options)
{
	if (options->quiet)
		return LOG_QUIET;
	if (options->verbose > 1)
		return LOG_DEBUG;
	return options->verbose ? LOG_VERBOSE : LOG_NORMAL;
}

int watch_run(const struct options *options)
{
	struct watch watch = { .options = options };
	struct error error = { 0 };
	int code;

	log_set_level(level_of(options));
	mallopt(M_MMAP_THRESHOLD, GIVE_BACK_BYTES);
	code = watch_processes(&watch, &error);
	tell_command(options, &watch.session);
	session_done(&watch.session);
	if (!code || code == -EPIPE)
		return watch.failed ? EXIT_LEAKS : EXIT_DONE;
	fprintf(stderr, "leakbpf: %s\n", error.text);
	return EXIT_FAILED;
}

int cmd_watch(int argc, char **argv)
{
	struct options options;
	int status;

	if (options_parse(argc, argv, 0, &options))
		return EXIT_USAGE;
	status = watch_run(&options);
	options_done(&options);
	return status;
}
