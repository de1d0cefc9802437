# SPDX-License-Identifier: GPL-2.0-only
# Finds what the build needs; what is missing is named with its Debian package.

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	set(LEAKBPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
	set(LEAKBPF_ARCH arm64)
else()
	message(FATAL_ERROR "leakbpf runs on x86-64 and arm64, not on ${CMAKE_SYSTEM_PROCESSOR}.")
endif()

# lb_library(name header library package): target lb_<name> for header and library, or the end.
function(lb_library name header library package)
	string(TOUPPER ${name} upper)
	find_path(LEAKBPF_${upper}_INCLUDE ${header})
	find_library(LEAKBPF_${upper}_LIBRARY ${library})
	mark_as_advanced(LEAKBPF_${upper}_INCLUDE LEAKBPF_${upper}_LIBRARY)
	if(NOT LEAKBPF_${upper}_INCLUDE OR NOT LEAKBPF_${upper}_LIBRARY)
		message(FATAL_ERROR "${name} is missing: install the Debian package ${package}.")
	endif()
	add_library(lb_${name} INTERFACE)
	target_include_directories(lb_${name} SYSTEM INTERFACE ${LEAKBPF_${upper}_INCLUDE})
	target_link_libraries(lb_${name} INTERFACE ${LEAKBPF_${upper}_LIBRARY})
endfunction()

# lb_version_of(header prefix ret): MAJOR.MINOR out of <prefix>_MAJOR_VERSION and _MINOR_VERSION.
function(lb_version_of header prefix ret)
	file(STRINGS ${header} lines REGEX "define ${prefix}_(MAJOR|MINOR)_VERSION")
	string(REGEX REPLACE "[^0-9]+" "." version "${lines}")
	string(REGEX REPLACE "^\\.|\\.$" "" version "${version}")
	set(${ret} ${version} PARENT_SCOPE)
endfunction()

lb_library(libbpf bpf/libbpf.h bpf libbpf-dev)
if(NOT EXISTS ${LEAKBPF_LIBBPF_INCLUDE}/bpf/libbpf_version.h)
	message(FATAL_ERROR "libbpf is older than 1.3: install libbpf-dev from bookworm-backports.")
endif()
lb_version_of(${LEAKBPF_LIBBPF_INCLUDE}/bpf/libbpf_version.h LIBBPF libbpf_version)
if(libbpf_version VERSION_LESS 1.3)
	message(FATAL_ERROR "libbpf ${libbpf_version} is older than 1.3: install libbpf-dev from "
		"bookworm-backports (Debian 12) or a newer release.")
endif()
lb_library(libelf libelf.h elf libelf-dev)
lb_library(libdw elfutils/libdwfl.h dw libdw-dev)
lb_library(libiberty libiberty/demangle.h libiberty.a libiberty-dev)
lb_library(zlib zlib.h z zlib1g-dev)
lb_library(liblzma lzma.h lzma liblzma-dev)
if(LEAKBPF_ARCH STREQUAL "x86")
	lb_library(zydis Zydis/Zydis.h Zydis libzydis-dev)
else()
	add_library(lb_zydis INTERFACE)
endif()
if(LEAKBPF_TESTS)
	lb_library(cmocka cmocka.h cmocka libcmocka-dev)
	lb_library(jansson jansson.h jansson libjansson-dev)
endif()

# Ubuntu's /usr/sbin/bpftool is a wrapper that refuses other kernels than the packaged one.
file(GLOB bpftool_folders /usr/lib/linux-tools/*)
find_program(LEAKBPF_BPFTOOL bpftool HINTS ${bpftool_folders} PATHS /usr/sbin /sbin)
if(NOT LEAKBPF_BPFTOOL)
	message(FATAL_ERROR "bpftool is missing: install the Debian package bpftool.")
endif()
execute_process(COMMAND ${LEAKBPF_BPFTOOL} gen help RESULT_VARIABLE status
	OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT output MATCHES "gen object")
	message(FATAL_ERROR "${LEAKBPF_BPFTOOL} can not link BPF objects (`bpftool gen object`): "
		"install the Debian package bpftool (Ubuntu: linux-tools-generic), 5.13 or newer.")
endif()

find_program(LEAKBPF_CLANG NAMES clang-19 clang-20 clang-21 clang-18 clang-17 clang-16 clang-15
	clang clang-14)
if(NOT LEAKBPF_CLANG)
	message(FATAL_ERROR "clang is missing: install the Debian package clang-19.")
endif()
execute_process(COMMAND ${LEAKBPF_CLANG} -dumpversion OUTPUT_VARIABLE clang_version
	OUTPUT_STRIP_TRAILING_WHITESPACE)
if(clang_version VERSION_LESS 14)
	message(FATAL_ERROR "clang ${clang_version} is older than 14: install the Debian package clang-19.")
endif()
message(STATUS "libbpf ${libbpf_version}, ${LEAKBPF_BPFTOOL}, ${LEAKBPF_CLANG} ${clang_version}")
