/* SPDX-License-Identifier: GPL-2.0-only */
/* leakbpf doctor: what this kernel and these privileges allow, and what to do about the rest. */
#include <argp.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "probe/probe.h"

enum health { HEALTH_OK, HEALTH_LIMITED, HEALTH_MISSING };

/* What one check found. */
struct diagnosis {
	enum health health;
	char text[512]; /* what is, and what to do when it is not well */
};

struct check {
	const char *name;
	struct diagnosis (*run)(void);
};

static struct diagnosis diagnose(enum health health, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static struct diagnosis diagnose(enum health health, const char *format, ...)
{
	struct diagnosis diagnosis = { .health = health };
	va_list args;

	va_start(args, format);
	vsnprintf(diagnosis.text, sizeof(diagnosis.text), format, args);
	va_end(args);
	return diagnosis;
}

static struct diagnosis check_kernel(void)
{
	struct utsname name;

	if (uname(&name) != 0)
		return diagnose(HEALTH_LIMITED, "unknown: %s", strerror(errno));
	return diagnose(HEALTH_OK, "Linux %s on %s", name.release, name.machine);
}

static struct diagnosis check_btf(void)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";

	if (access(path, R_OK) == 0)
		return diagnose(HEALTH_OK, "%s can be read", path);
	return diagnose(HEALTH_MISSING,
			"%s: %s; leakbpf needs a kernel built with CONFIG_DEBUG_INFO_BTF=y "
			"(and /sys mounted)",
			path, strerror(errno));
}

/* The mask of effective capabilities; 0 when it can not be read. */
static uint64_t effective_capabilities(void)
{
	char *status __cleanup_string = NULL;
	const char *line;
	size_t len;

	if (io_read_file("/proc/self/status", 1 << 16, &status, &len))
		return 0;
	line = strstr(status, "\nCapEff:");
	return line ? strtoull(line + strlen("\nCapEff:"), NULL, 16) : 0;
}

static struct diagnosis check_capabilities(void)
{
	static const struct {
		int number;
		const char *name, *what_for;
	} wanted[] = {
		{ CAP_BPF, "CAP_BPF", "load BPF programs" },
		{ CAP_PERFMON, "CAP_PERFMON", "attach probes" },
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "read processes of other users" },
		{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "read their files" },
	};
	uint64_t effective = effective_capabilities();
	struct buf missing __cleanup_buf = { 0 };
	size_t i;

	if (effective & 1ULL << CAP_SYS_ADMIN)
		effective |= 1ULL << CAP_BPF | 1ULL << CAP_PERFMON;
	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!(effective & 1ULL << wanted[i].number))
			buf_printf(&missing, "%s%s (to %s)", missing.len ? ", " : "",
				   wanted[i].name, wanted[i].what_for);
	}
	if (missing.len == 0)
		return diagnose(HEALTH_OK, "all that are needed (uid %d)", (int)geteuid());
	return diagnose(HEALTH_MISSING, "uid %d lacks %s; run leakbpf with sudo", (int)geteuid(),
			missing.data);
}

/* The value in force of "none [integrity] confidentiality". */
static struct diagnosis check_lockdown(void)
{
	char *text __cleanup_string = NULL;
	size_t len;

	if (io_read_file("/sys/kernel/security/lockdown", 4096, &text, &len))
		return diagnose(HEALTH_OK, "not known (/sys/kernel/security/lockdown can not be "
					   "read); the probes below tell");
	if (strstr(text, "[confidentiality]"))
		return diagnose(HEALTH_MISSING,
				"confidentiality: the kernel lets no BPF program read memory; boot "
				"with lockdown=integrity or none");
	return diagnose(HEALTH_OK, "%s", strstr(text, "[integrity]") ? "integrity" : "none");
}

static struct diagnosis check_pid_namespace(void)
{
	char name[64] = "";

	if (readlink("/proc/self/ns/pid", name, sizeof(name) - 1) <= 0)
		return diagnose(HEALTH_LIMITED, "unknown: %s", strerror(errno));
	/* Linux 6.18, include/uapi/linux/nsfs.h, PID_NS_INIT_INO */
	if (strcmp(name, "pid:[4026531836]") == 0)
		return diagnose(HEALTH_OK, "the host's");
	return diagnose(HEALTH_MISSING,
			"%s: leakbpf is in a container; start it with the host's (--pid=host, "
			"hostPID: true)",
			name);
}

/* Loads the programs with probes of one kind. */
static struct diagnosis check_probes(enum attach_mode mode, const char *without)
{
	const struct tracer_options options = { .mode = mode, .max_live = 1024, .max_sites = 1024 };
	struct error error = { 0 };
	struct tracer *tracer;

	if (tracer_open(&options, &tracer, &error))
		return diagnose(mode == ATTACH_PERF ? HEALTH_MISSING : HEALTH_LIMITED, "%s; %s",
				error.text, without);
	tracer_free(tracer);
	return diagnose(HEALTH_OK, "work (self-test passed)");
}

static struct diagnosis check_session(void)
{
	return check_probes(ATTACH_SESSION, "without them multi probes are used, at some cost");
}

static struct diagnosis check_multi(void)
{
	return check_probes(ATTACH_MULTI, "without them perf probes are used, slow to attach");
}

static struct diagnosis check_perf(void)
{
	return check_probes(ATTACH_PERF, "the last resort on kernels before 6.6");
}

static struct diagnosis check_best(void)
{
	const struct tracer_options options = { .mode = ATTACH_AUTO };
	struct error error = { 0 };
	struct tracer *tracer;
	struct diagnosis diagnosis;

	if (tracer_open(&options, &tracer, &error))
		return diagnose(HEALTH_MISSING, "leakbpf can not run: %s", error.text);
	diagnosis = diagnose(HEALTH_OK, "leakbpf can run, with %s probes",
			     attach_mode_name(tracer_mode(tracer)));
	tracer_free(tracer);
	return diagnosis;
}

static const struct check checks[] = {
	{ "kernel", check_kernel },
	{ "BTF", check_btf },
	{ "capabilities", check_capabilities },
	{ "lockdown", check_lockdown },
	{ "pid namespace", check_pid_namespace },
	{ "session probes", check_session },
	{ "multi probes", check_multi },
	{ "perf probes", check_perf },
	{ "in all", check_best }, /* the last one decides the exit status */
};

static error_t parse_doctor(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	argp_error(state, "'%s' is not expected here", arg);
	return EINVAL;
}

static const struct argp doctor_argp = {
	.parser = parse_doctor,
	.doc = "Tell what this kernel and these privileges allow, and what to do about the rest."
	       "\vExit status: 0 leakbpf can run here, 2 wrong usage, 3 it can not.",
};

int cmd_doctor(int argc, char **argv)
{
	static const char *const marks[] = {
		[HEALTH_OK] = "ok",
		[HEALTH_LIMITED] = "LIMITED",
		[HEALTH_MISSING] = "MISSING",
	};
	struct diagnosis diagnosis = { .health = HEALTH_OK };
	size_t i;

	if (argp_parse(&doctor_argp, argc, argv, 0, NULL, NULL))
		return EXIT_USAGE;
	log_set_level(LOG_QUIET);
	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		diagnosis = checks[i].run();
		printf("%-15s %-8s %s\n", checks[i].name, marks[diagnosis.health], diagnosis.text);
		fflush(stdout);
	}
	return diagnosis.health == HEALTH_OK ? EXIT_DONE : EXIT_FAILED;
}
