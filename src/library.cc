// libpostgen is made of the rooms' archives; CMake wants one source of its own.
#include "postgen/postgen.h"
