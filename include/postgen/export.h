// Marks the classes and functions that libpostgen.so exports. Everything else is hidden.
#ifndef POSTGEN_EXPORT_H_
#define POSTGEN_EXPORT_H_

#define POSTGEN_EXPORT __attribute__((visibility("default")))

#endif  // POSTGEN_EXPORT_H_
