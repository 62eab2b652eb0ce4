# Given to the build of llama-cpp-python as CMAKE_PROJECT_INCLUDE. Its CMakeLists.txt forces llama.cpp's
# "common" library into the cache, although the Python bindings do not link it; a plain variable wins
# over the cache and saves two thirds of the build.
set(LLAMA_BUILD_COMMON OFF)
