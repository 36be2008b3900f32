#!/usr/bin/env python3
"""libpostgen_c from a language without a C compiler: posts, events and errors through ctypes.

ctypes_test.py LIBRARY
"""

import ctypes
import json
import select
import sys
import unittest

ABI_VERSION = 1
OK, INVALID_REQUEST, INVALID_CONFIG = 0, 1, 2
START_STREAM = 1
EVENT_DELTA, EVENT_VERSION_DONE, EVENT_POST, EVENT_ERROR = 2, 3, 5, 6
ENOUGH_MS = 20000


class Str(ctypes.Structure):
    _fields_ = [("ptr", ctypes.c_char_p), ("len", ctypes.c_size_t)]

    @classmethod
    def of(cls, document):
        data = json.dumps(document, ensure_ascii=False).encode()
        return cls(data, len(data))

    def load(self):
        return json.loads(ctypes.string_at(self.ptr, self.len))


class View(ctypes.Structure):
    """A postgen_str that may hold NULs: c_char_p would stop there."""

    _fields_ = [("ptr", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    def bytes(self):
        return ctypes.string_at(self.ptr, self.len) if self.ptr else b""

    def load(self):
        return json.loads(self.bytes())


class Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int32),
        ("part", ctypes.c_int32),
        ("version_number", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("call_id", ctypes.c_uint64),
        ("text", View),
        ("json", View),
    ]


Handle = ctypes.c_void_p
Out = ctypes.POINTER(ctypes.c_void_p)

# name -> result, arguments
FUNCTIONS = {
    "postgen_abi_version": (ctypes.c_uint32, []),
    "postgen_version": (ctypes.c_char_p, []),
    "postgen_generator_create": (ctypes.c_int32, [Str, ctypes.c_void_p, Out, Out]),
    "postgen_generator_destroy": (None, [Out]),
    "postgen_generate": (ctypes.c_int32, [Handle, Str, Out, Out]),
    "postgen_start": (ctypes.c_int32, [Handle, Str, ctypes.c_uint32, Out, Out]),
    "postgen_call_id": (ctypes.c_uint64, [Handle]),
    "postgen_call_destroy": (None, [Out]),
    "postgen_generator_event_fd": (ctypes.c_int, [Handle]),
    "postgen_generator_next_events": (
        ctypes.c_size_t,
        [Handle, ctypes.c_int64, ctypes.POINTER(Event), ctypes.c_size_t],
    ),
    "postgen_result_json": (View, [Handle]),
    "postgen_result_destroy": (None, [Out]),
    "postgen_error_code": (ctypes.c_int32, [Handle]),
    "postgen_error_json": (View, [Handle]),
    "postgen_error_destroy": (None, [Out]),
    "postgen_metrics": (ctypes.c_int32, [Handle, Out, Out]),
    "postgen_string_get": (View, [Handle]),
    "postgen_string_destroy": (None, [Out]),
}

OPTIONS = {"llm": {"provider": "template"}}
REQUEST = {"stock_code": "2330", "stock_name": "台積電", "kol_serial": "KOL-208", "versions": 3}


def load(path):
    library = ctypes.CDLL(path)
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class CtypesTest(unittest.TestCase):
    library = None

    def setUp(self):
        self.generator, self.error = Handle(), Handle()
        self.assertEqual(
            self.library.postgen_generator_create(
                Str.of(OPTIONS), None, ctypes.byref(self.generator), ctypes.byref(self.error)
            ),
            OK,
        )

    def tearDown(self):
        self.library.postgen_error_destroy(ctypes.byref(self.error))
        self.library.postgen_generator_destroy(ctypes.byref(self.generator))
        self.assertIsNone(self.generator.value)

    def test_versions(self):
        self.assertEqual(self.library.postgen_abi_version(), ABI_VERSION)
        self.assertRegex(self.library.postgen_version().decode(), r"^\d+\.\d+\.\d+$")

    def test_generate(self):
        result = Handle()
        self.assertEqual(
            self.library.postgen_generate(
                self.generator, Str.of(REQUEST), ctypes.byref(result), ctypes.byref(self.error)
            ),
            OK,
        )
        reply = self.library.postgen_result_json(result).load()
        self.assertTrue(reply["success"])
        self.assertEqual(reply["stock_info"]["stock_name"], "台積電")
        self.assertEqual(len(reply["postgen"]["versions"]), 3)
        self.library.postgen_result_destroy(ctypes.byref(result))
        self.assertIsNone(result.value)

        metrics = Handle()
        self.assertEqual(
            self.library.postgen_metrics(self.generator, ctypes.byref(metrics), None), OK
        )
        self.assertIsInstance(self.library.postgen_string_get(metrics).load(), dict)
        self.library.postgen_string_destroy(ctypes.byref(metrics))

    def test_errors(self):
        result = Handle()
        self.assertEqual(
            self.library.postgen_generate(
                self.generator,
                Str.of({"stock_code": "2330"}),
                ctypes.byref(result),
                ctypes.byref(self.error),
            ),
            INVALID_REQUEST,
        )
        reply = self.library.postgen_error_json(self.error).load()
        self.assertFalse(reply["success"])
        self.assertEqual(reply["error_type"], "invalid_request")
        self.assertIn("kol_serial", reply["message"])
        other = Handle()
        self.assertEqual(
            self.library.postgen_generator_create(
                Str.of({"llm": {"modle": "x"}}), None, ctypes.byref(other), ctypes.byref(self.error)
            ),
            INVALID_CONFIG,
        )
        self.assertEqual(self.library.postgen_error_code(self.error), INVALID_CONFIG)

    def test_events(self):
        call = Handle()
        self.assertEqual(
            self.library.postgen_start(
                self.generator,
                Str.of(REQUEST),
                START_STREAM,
                ctypes.byref(call),
                ctypes.byref(self.error),
            ),
            OK,
        )
        fd = self.library.postgen_generator_event_fd(self.generator)
        events = (Event * 8)()
        texts, last = {}, None
        while last is None:
            readable, _, _ = select.select([fd], [], [], ENOUGH_MS / 1000)
            self.assertTrue(readable)
            for event in events[
                : self.library.postgen_generator_next_events(self.generator, 0, events, 8)
            ]:
                self.assertEqual(event.call_id, self.library.postgen_call_id(call))
                if event.type == EVENT_DELTA:
                    key = (event.version_number, event.part)
                    texts[key] = texts.get(key, b"") + event.text.bytes()
                elif event.type == EVENT_VERSION_DONE:
                    self.assertEqual(event.json.load()["version_number"], event.version_number)
                elif event.type in (EVENT_POST, EVENT_ERROR):
                    last = event.json.load()
        self.assertEqual(last["type"], "post")
        self.assertEqual(len(texts), 6)  # title and content of three versions
        for text in texts.values():
            self.assertTrue(text.decode())
        self.library.postgen_call_destroy(ctypes.byref(call))


if __name__ == "__main__":
    CtypesTest.library = load(sys.argv.pop(1))
    unittest.main()
