# SPDX-License-Identifier: GPL-2.0-only
# Which of the installed Go releases (/usr/lib/go-1.23, as Debian installs them) the tests use.

set(LEAKBPF_GO_RELEASES "" CACHE STRING
	"Go releases for the tests: all, or a list such as 1.19,1.23; by default up to four of them")

# lb_go_releases(ret): those of LEAKBPF_GO_RELEASES that are installed, the oldest first. By default
# the oldest, the newest and the two between which timers changed: all others behave as one of them.
function(lb_go_releases ret)
	file(GLOB found /usr/lib/go-1.*/bin/go)
	list(TRANSFORM found REPLACE "^.*/go-([0-9.]+)/.*$" "\\1")
	list(SORT found COMPARE NATURAL)
	set(releases ${found})
	if(found AND NOT LEAKBPF_GO_RELEASES STREQUAL all)
		string(REPLACE "," ";" wanted "${LEAKBPF_GO_RELEASES}")
		foreach(release ${wanted})
			if(NOT release IN_LIST found)
				message(FATAL_ERROR "LEAKBPF_GO_RELEASES: there is no Go "
					"/usr/lib/go-${release}")
			endif()
		endforeach()
		if(NOT wanted)
			list(GET found 0 oldest)
			list(GET found -1 newest)
			set(wanted ${oldest} 1.22 1.23 ${newest})
		endif()
		list(FILTER releases EXCLUDE REGEX .)
		foreach(release ${found})
			if(release IN_LIST wanted)
				list(APPEND releases ${release})
			endif()
		endforeach()
	endif()
	set(${ret} ${releases} PARENT_SCOPE)
endfunction()
