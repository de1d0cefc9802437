# SPDX-License-Identifier: GPL-2.0-only
# Completion of leakbpf for bash. Commands and options are read from its --help, so that they are
# always those of the program that is installed.

_leakbpf()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' program=${COMP_WORDS[0]} i
	[[ ${COMP_WORDS[1]} == -* ]] || command=${COMP_WORDS[1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		if [[ ${COMP_WORDS[i]} == -- ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
			return
		fi
	done
	case $previous in
	-p | --pid) mapfile -t COMPREPLY < <(compgen -W "$(ps -eo pid=)" -- "$current") ;;
	-f | --format) mapfile -t COMPREPLY < <(compgen -W 'text json folded pprof svg html' -- "$current") ;;
	--fail-on) mapfile -t COMPREPLY < <(compgen -W 'leaking growing' -- "$current") ;;
	*)
		if [[ $current == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$("$program" ${command:+"$command"} --help |
				grep -Eo -- '^ *(-[a-zA-Z?], )?--[a-z-]+' | grep -Eo -- '--[a-z-]+')" -- "$current")
		elif ((COMP_CWORD == 1)); then
			mapfile -t COMPREPLY < <(compgen -W "$("$program" --help |
				sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$current")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		fi
		;;
	esac
}

complete -o filenames -F _leakbpf leakbpf
