/* SPDX-License-Identifier: GPL-2.0-only */
#include <argp.h>

#include "cmd/cmd.h"

const char *argp_program_version = "leakbpf " LEAKBPF_VERSION;

int main(int argc, char **argv)
{
	return cmd_main(argc, argv);
}
