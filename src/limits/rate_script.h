// The limits that processes share, kept by Redis: GCRA with Redis's own clock, in one script, so
// that every step is atomic and no process's clock counts.
//
// KEYS are hashes, one for each limit, which expire when nobody uses them:
//   tat     when the bucket is full again (GCRA's theoretical arrival time), in seconds
//   rate, cap   units a second, and the most that may be left
//   total   ever taken
//   newest  `total` of the newest call whose head has told what is left
//   way, way_at   taken so lately that it may still be on its way to the server, fading
//   turn, turn_at   of the first key: whose turn it is, and when its call fits
//   last, last_at   who had the turn before, until when
//   hold    nothing is granted until then: the server's word
//   born    when the first call was heard of
//   smooth  no bursts until then, after a refusal that the limit does not explain
//
// take: ARGV is "take", whether the asker returns (0 or 1), how many limits count tokens (the last
//   of KEYS), the asker's name, and for each key five numbers: learned (0: of the options; 1: of
//   heads, so that another may know it better; 2: no head has come as yet), rate (0: not known),
//   cap, level as the asker believes, debt (taken already; less than 0: given back). Then the
//   tokens of each call that waits. Returns {granted, milliseconds until the next fits}, then for
//   each key what redis-cell would say and more: {limited, limit a minute, remaining, retry after
//   ms or -1, full after ms, rate, cap, level, total, way}, the last five as texts.
//
// heard: ARGV is "heard", seconds since the call was sent, seconds to hold, and for each key six
//   numbers: rate, cap, remaining (-1: not told), total and way when the call was sent, refused (0
//   or 1).
#ifndef POSTGEN_SRC_LIMITS_RATE_SCRIPT_H_
#define POSTGEN_SRC_LIMITS_RATE_SCRIPT_H_

namespace postgen {

extern const char kRateScript[];

}  // namespace postgen

#endif  // POSTGEN_SRC_LIMITS_RATE_SCRIPT_H_
