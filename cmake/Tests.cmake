# SPDX-License-Identifier: GPL-2.0-only
# ctest labels: unit (no privileges), root (loads BPF), e2e (the whole program), style (checks of
# the source), build (other compilers and instrumentation), fuzz.

include(cmake/Go.cmake)

set(LEAKBPF_TEST_DEFINITIONS
	LEAKBPF_TESTS_DIR="${CMAKE_SOURCE_DIR}/tests" LEAKBPF_BUILD_DIR="${CMAKE_BINARY_DIR}")

# lb_test_program(name source): one cmocka program that may use every module.
function(lb_test_program name source)
	add_executable(${name} ${source})
	target_link_libraries(${name} PRIVATE lb_cmd lb_cmocka lb_jansson)
	target_compile_definitions(${name} PRIVATE ${LEAKBPF_TEST_DEFINITIONS})
endfunction()

# --- unit: tests/unit/test_*.c ---
add_custom_target(unit_tests)
file(GLOB sources CONFIGURE_DEPENDS tests/unit/test_*.c)
foreach(source ${sources})
	get_filename_component(name ${source} NAME_WE)
	lb_test_program(${name} ${source})
	add_dependencies(unit_tests ${name})
	add_test(NAME ${name} COMMAND ${name})
	set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 120
		ENVIRONMENT "ASAN_OPTIONS=allocator_may_return_null=1")
endforeach()

# --- BPF units: tests/bpf/NAME.bpf.c linked with all of bpf/, driven by tests/bpf/NAME.c ---
file(GLOB sources CONFIGURE_DEPENDS tests/bpf/*_test.bpf.c)
foreach(source ${sources})
	get_filename_component(name ${source} NAME_WE)
	lb_bpf_objects(object ${source})
	lb_bpf_skeleton(${name} ${bpf_objects} ${object})
	lb_test_program(${name} ${CMAKE_SOURCE_DIR}/tests/bpf/${name}.c)
	target_link_libraries(${name} PRIVATE lb_skeleton)
	add_dependencies(${name} skel_${name})
	add_test(NAME bpf.${name} COMMAND ${name})
	set_tests_properties(bpf.${name} PROPERTIES LABELS root TIMEOUT 300)
endforeach()

# --- workloads: programs that the tests and the demo watch ---
#
# tests/workloads/CMakeLists.txt, when there is one, is read first. It may call
#   lb_workload(name source...)          for a program built from given sources,
#   lb_workload_exclude(source...)       for sources that are no program of their own,
# and whatever CMake offers for special ones. Every other tests/workloads/*.c and *.cpp becomes a
# program named after its file, in build/workloads. A line "CFLAGS: ..." in a comment among the
# first ten lines replaces the default flags.
set(LEAKBPF_WORKLOADS_DIR ${CMAKE_BINARY_DIR}/workloads)
set(LEAKBPF_WORKLOAD_FLAGS -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls)
define_property(GLOBAL PROPERTY LEAKBPF_WORKLOADS_TAKEN)

function(lb_workload_exclude)
	foreach(source ${ARGN})
		get_filename_component(path ${source} ABSOLUTE)
		set_property(GLOBAL APPEND PROPERTY LEAKBPF_WORKLOADS_TAKEN ${path})
	endforeach()
endfunction()

function(lb_workload name)
	add_executable(${name} ${ARGN})
	list(GET ARGN 0 first)
	get_filename_component(first ${first} ABSOLUTE)
	file(STRINGS ${first} flags LIMIT_INPUT 2000 REGEX "^.*CFLAGS:")
	if(flags)
		list(GET flags 0 flags)
		string(REGEX REPLACE "^.*CFLAGS:|\\*/.*$" "" flags "${flags}")
		separate_arguments(flags UNIX_COMMAND "${flags}")
	else()
		set(flags ${LEAKBPF_WORKLOAD_FLAGS})
	endif()
	target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
	target_compile_options(${name} PRIVATE -Wall -Wextra ${flags})
	target_link_options(${name} PRIVATE ${flags})
	target_link_libraries(${name} PRIVATE pthread dl m)
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${LEAKBPF_WORKLOADS_DIR})
	add_dependencies(workloads ${name})
	lb_workload_exclude(${ARGN})
endfunction()

add_custom_target(workloads)
file(GLOB sources CONFIGURE_DEPENDS tests/workloads/*.c tests/workloads/*.cpp)
if(sources AND NOT LEAKBPF_FUZZ)
	enable_language(CXX)
	if(EXISTS ${CMAKE_SOURCE_DIR}/tests/workloads/CMakeLists.txt)
		add_subdirectory(tests/workloads)
	endif()
	get_property(taken GLOBAL PROPERTY LEAKBPF_WORKLOADS_TAKEN)
	list(REMOVE_ITEM sources "" ${taken})
	foreach(source ${sources})
		get_filename_component(name ${source} NAME_WE)
		lb_workload(${name} ${source})
	endforeach()
endif()
if(EXISTS ${CMAKE_SOURCE_DIR}/tests/e2e/CMakeLists.txt AND NOT LEAKBPF_FUZZ)
	add_subdirectory(tests/e2e)
endif()
if(NOT LEAKBPF_FUZZ AND NOT LEAKBPF_SANITIZE)
	add_subdirectory(tests/unwind)
	add_subdirectory(tests/verifier)
endif()
if(NOT LEAKBPF_FUZZ)
	add_subdirectory(tests/trend)
endif()
if(EXISTS ${CMAKE_SOURCE_DIR}/tests/bench/CMakeLists.txt AND NOT LEAKBPF_FUZZ)
	add_subdirectory(tests/bench)
endif()

# --- fuzz: tests/fuzz/fuzz_*.c; they are built by the clang build below ---
add_custom_target(programs DEPENDS unit_tests)
if(TARGET leakbpf)
	add_dependencies(programs leakbpf)
endif()
file(GLOB fuzzers CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
if(LEAKBPF_FUZZ)
	foreach(source ${fuzzers})
		get_filename_component(name ${source} NAME_WE)
		add_executable(${name} ${source})
		target_link_libraries(${name} PRIVATE lb_cmd)
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
		add_dependencies(programs ${name})
	endforeach()
endif()

# --- style: the source itself ---
function(lb_style_test name)
	add_test(NAME style.${name} COMMAND ${CMAKE_SOURCE_DIR}/tools/check-${name} ${ARGN})
	set_tests_properties(style.${name} PROPERTIES LABELS style SKIP_RETURN_CODE 77 TIMEOUT 900)
endfunction()

lb_style_test(layers)
lb_style_test(size)
lb_style_test(format)
lb_style_test(words)
lb_style_test(shell)
lb_style_test(cppcheck)
lb_style_test(tidy ${CMAKE_BINARY_DIR}/with-clang)
lb_style_test(selftest)
set_tests_properties(style.tidy PROPERTIES FIXTURES_REQUIRED clang_build)

# --- build: other compilers and instrumentation, each in a folder of its own ---
# lb_build_test(name option...): builds all programs with warnings as errors: fixture <name>_build.
function(lb_build_test name)
	add_test(NAME build.${name} COMMAND ${CMAKE_CTEST_COMMAND}
		--build-and-test ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/with-${name}
		--build-generator ${CMAKE_GENERATOR} --build-noclean --build-target programs
		--build-options -DLEAKBPF_WERROR=ON ${ARGN})
	set_tests_properties(build.${name} PROPERTIES LABELS build TIMEOUT 1800
		ENVIRONMENT CMAKE_BUILD_PARALLEL_LEVEL=2 FIXTURES_SETUP ${name}_build)
endfunction()

# lb_unit_tests_of(name): runs the unit tests of that build.
function(lb_unit_tests_of name)
	add_test(NAME build.${name}.unit COMMAND ${CMAKE_CTEST_COMMAND}
		--test-dir ${CMAKE_BINARY_DIR}/with-${name} --output-on-failure --no-tests=error
		-L unit)
	set_tests_properties(build.${name}.unit PROPERTIES LABELS build TIMEOUT 900
		FIXTURES_REQUIRED ${name}_build)
endfunction()

# The kernel side compiles for every architecture, whichever this one is.
foreach(arch x86 arm64)
	lb_bpf_flags(flags ${arch})
	add_test(NAME build.bpf_${arch} COMMAND ${LEAKBPF_CLANG} ${flags} -fsyntax-only ${bpf_sources})
	set_tests_properties(build.bpf_${arch} PROPERTIES LABELS build)
endforeach()

# What "cmake --install" puts in place, in a folder of the build.
if(TARGET leakbpf)
	add_test(NAME build.install COMMAND ${CMAKE_SOURCE_DIR}/tests/install.sh ${CMAKE_COMMAND}
		${CMAKE_BINARY_DIR} ${PROJECT_VERSION})
	set_tests_properties(build.install PROPERTIES LABELS build TIMEOUT 120)
endif()

if(NOT LEAKBPF_FUZZ AND NOT LEAKBPF_SANITIZE AND NOT LEAKBPF_ANALYZE)
	lb_build_test(clang -DCMAKE_C_COMPILER=${LEAKBPF_CLANG} -DLEAKBPF_FUZZ=ON)
	lb_unit_tests_of(clang)
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		lb_build_test(sanitized -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
			-DLEAKBPF_SANITIZE=ON)
		lb_unit_tests_of(sanitized)
		lb_build_test(analyzer -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
			-DLEAKBPF_ANALYZE=ON)
	endif()
	add_custom_target(fuzz COMMAND ${CMAKE_CTEST_COMMAND} --output-on-failure -L fuzz)
	foreach(source ${fuzzers})
		get_filename_component(name ${source} NAME_WE)
		set(runs 100000)
		if(name STREQUAL fuzz_ehframe)
			set(runs 1000000)
		endif()
		set(found ${CMAKE_BINARY_DIR}/corpus/${name})
		file(MAKE_DIRECTORY ${found})
		file(GLOB seeds tests/fuzz/corpus/${name})
		add_test(NAME fuzz.${name} COMMAND ${CMAKE_BINARY_DIR}/with-clang/${name}
			-seed=1 -runs=${runs} -max_total_time=120 -timeout=20 -rss_limit_mb=1024
			-print_final_stats=1 ${found} ${seeds})
		set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 300
			FIXTURES_REQUIRED clang_build)
	endforeach()
endif()
