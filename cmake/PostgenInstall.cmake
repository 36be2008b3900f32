# Headers, libraries, the CMake package (postgen::postgen, postgen::c) and pkg-config files.
