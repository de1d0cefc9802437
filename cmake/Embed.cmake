# SPDX-License-Identifier: GPL-2.0-only
#
# Text files as C arrays. lb_embed(library file...): a static library with
#   const char embedded_<name>[]    NUL-terminated, for each file; flame.css is embedded_flame_css.
# Run with cmake -P (INPUT, OUTPUT) this file makes one of those arrays.

if(CMAKE_SCRIPT_MODE_FILE)
	get_filename_component(name ${INPUT} NAME)
	string(MAKE_C_IDENTIFIER embedded_${name} name)
	file(READ ${INPUT} bytes HEX)
	string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
	string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n"
		bytes "${bytes}")
	file(WRITE ${OUTPUT} "extern const char ${name}[];\nconst char ${name}[] = {\n${bytes}0};\n")
	return()
endif()

set(LEAKBPF_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(lb_embed library)
	file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/embedded)
	set(sources "")
	foreach(file ${ARGN})
		get_filename_component(name ${file} NAME)
		set(source ${CMAKE_BINARY_DIR}/embedded/${name}.c)
		add_custom_command(OUTPUT ${source}
			COMMAND ${CMAKE_COMMAND} -DINPUT=${CMAKE_SOURCE_DIR}/${file}
				-DOUTPUT=${source} -P ${LEAKBPF_EMBED_SCRIPT}
			DEPENDS ${file} ${LEAKBPF_EMBED_SCRIPT}
			VERBATIM)
		list(APPEND sources ${source})
	endforeach()
	add_library(${library} STATIC ${sources})
endfunction()
