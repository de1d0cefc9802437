# SPDX-License-Identifier: GPL-2.0-only
# Builds BPF programs: source -> object, objects -> one linked object -> skeleton header.

# Programs and callbacks have the parameters that the kernel gives them, wanted or not.
function(lb_bpf_flags ret arch)
	set(${ret} -target bpf -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Werror
		-Wno-unused-parameter -D__TARGET_ARCH_${arch}
		-I${CMAKE_SOURCE_DIR}/vmlinux/${arch} -I${CMAKE_SOURCE_DIR}/bpf
		-isystem ${LEAKBPF_LIBBPF_INCLUDE} PARENT_SCOPE)
endfunction()
lb_bpf_flags(LEAKBPF_BPF_FLAGS ${LEAKBPF_ARCH})
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bpf ${CMAKE_BINARY_DIR}/skel)

# lb_bpf_objects(ret source...): compiles each; ret: the object files.
function(lb_bpf_objects ret)
	set(objects "")
	foreach(source ${ARGN})
		get_filename_component(stem ${source} NAME_WLE)
		set(object ${CMAKE_BINARY_DIR}/bpf/${stem}.o)
		add_custom_command(OUTPUT ${object}
			COMMAND ${LEAKBPF_CLANG} ${LEAKBPF_BPF_FLAGS} -MD -MF ${object}.d -MT ${object}
				-c ${source} -o ${object}
			DEPENDS ${source}
			DEPFILE ${object}.d
			COMMENT "BPF ${stem}"
			VERBATIM)
		list(APPEND objects ${object})
	endforeach()
	set(${ret} ${objects} PARENT_SCOPE)
endfunction()

# lb_bpf_skeleton(name object...): target skel_<name> makes skel/<name>.skel.h. Target bpf, which
# makes the objects that several skeletons share, goes first.
function(lb_bpf_skeleton name)
	set(linked ${CMAKE_BINARY_DIR}/bpf/${name}.linked.o)
	set(header ${CMAKE_BINARY_DIR}/skel/${name}.skel.h)
	add_custom_command(OUTPUT ${header}
		BYPRODUCTS ${linked}
		COMMAND ${LEAKBPF_BPFTOOL} gen object ${linked} ${ARGN}
		COMMAND sh -c "\"$0\" gen skeleton \"$1\" name \"$2\" >\"$3.new\" && mv \"$3.new\" \"$3\""
			${LEAKBPF_BPFTOOL} ${linked} ${name} ${header}
		DEPENDS ${ARGN}
		COMMENT "SKEL ${name}"
		VERBATIM)
	add_custom_target(skel_${name} DEPENDS ${header})
	add_dependencies(skel_${name} bpf)
endfunction()
