#include "limits/rate_script.h"

namespace postgen {

// The margin, the smooth mode and how a head corrects the level are those of RateBudget, and what
// may be sent before any head has come is RateLimiter's.
const char kRateScript[] = R"(
local MARGIN, SMOOTH, SMOOTH_TIME, SMOOTH_SHARE, KEEP, HAIR = 0.25, 0.1, 600, 0.97, 600, 1e-6
local UNHEARD, UNHEARD_TIME, WAY_TIME, TURN_GRACE = 10, 0.25, 0.1, 0.02
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000

local function load(key)
  local s = redis.call('HMGET', key, 'tat', 'rate', 'cap', 'total', 'newest', 'hold', 'smooth',
                       'born', 'way', 'way_at')
  return {key = key, tat = tonumber(s[1]), rate = tonumber(s[2]) or 0, cap = tonumber(s[3]) or 0,
          total = tonumber(s[4]) or 0, newest = tonumber(s[5]) or -1, hold = tonumber(s[6]) or 0,
          smooth = tonumber(s[7]) or 0, born = tonumber(s[8]) or now,
          way = (tonumber(s[9]) or 0) * math.exp(((tonumber(s[10]) or now) - now) / WAY_TIME)}
end
local function speed(l)
  return l.smooth > now and l.rate * SMOOTH_SHARE or l.rate
end
local function fill(l)
  if l.rate > 0 and l.tat then l.level = l.cap - math.max(0, l.tat - now) * speed(l) end
end
local function top(l)
  return l.smooth > now and math.min(l.cap, l.rate * SMOOTH) or l.cap
end
local function store(l)
  local full = 0
  if l.rate > 0 then
    l.level = math.min(l.level, top(l))
    full = (l.cap - l.level) / speed(l)
    redis.call('HSET', l.key, 'tat', now + full, 'rate', l.rate, 'cap', l.cap)
  end
  redis.call('HSET', l.key, 'total', l.total, 'newest', l.newest, 'hold', l.hold, 'smooth',
             l.smooth, 'born', l.born, 'way', l.way, 'way_at', now)
  redis.call('PEXPIRE', l.key, math.ceil((KEEP + full) * 1000))
  return full
end

if ARGV[1] == 'heard' then
  local age, hold = tonumber(ARGV[2]), tonumber(ARGV[3])
  for i, key in ipairs(KEYS) do
    local a = 4 + (i - 1) * 6
    local l = load(key)
    fill(l)
    local rate, cap, remaining = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
    local total, way, refused = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), ARGV[a + 5] == '1'
    if rate > 0 then l.rate, l.cap = rate, cap end
    if l.rate > 0 then
      -- A call that was sent later has told more; one of a total that is not ours tells nothing.
      if remaining >= 0 and total >= l.newest and total <= l.total then
        local level = math.min(l.cap, remaining + speed(l) * age) - (l.total - total)
        -- Calls that left together arrive in any order: those that were on their way with this one
        -- may come after it and need what it saw.
        local least = level - way
        -- While bursts are held back the level says less than the pace.
        if l.smooth > now and l.level then least = math.min(least, l.level) end
        l.level, l.newest = math.max(least, math.min(level, l.level or least)), total
      end
      l.level = math.min(l.level or l.cap, l.cap)
      if refused then
        l.level, l.smooth = math.min(l.level, 0), now + SMOOTH_TIME
      end
    end
    if hold > 0 then l.hold = math.max(l.hold, now + hold) end
    store(l)
  end
  return 1
end

local returning, tokens_from = ARGV[2] == '1', #KEYS - tonumber(ARGV[3])
local limits = {}
for i, key in ipairs(KEYS) do
  local a = 5 + (i - 1) * 5
  local l = load(key)
  local rate, cap, level = tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  fill(l)  -- at the rate until now
  if rate > 0 and (ARGV[a] == '0' or l.rate == 0) then l.rate, l.cap = rate, cap end
  -- A limit that was not known before: all that was taken since the first call counts.
  l.level = l.level or l.cap - l.total + l.rate * (now - l.born)
  if rate > 0 and (returning or not l.tat) then l.level = math.min(l.level, level) end
  l.level = math.min(l.level, l.cap)
  local debt = tonumber(ARGV[a + 4])
  l.level, l.total = math.min(top(l), l.level - debt), l.total + debt
  l.way = math.max(0, l.way + debt)
  l.tokens, l.unheard = i > tokens_from, ARGV[a] == '2' and l.rate == 0
  limits[i] = l
end

-- One who waits for a limit has the turn, so that those who need less cannot go on taking what it
-- waits for. Who has had it leaves the next one to another.
local who, turns = ARGV[4], redis.call('HMGET', KEYS[1], 'turn', 'turn_at', 'last', 'last_at')
local turn, turn_at = turns[1] or '', tonumber(turns[2]) or 0
local others = turn ~= '' and turn ~= who and now < turn_at + TURN_GRACE

local granted, wait, short = 0, 0, 0
for j = 5 + #KEYS * 5, #ARGV do
  local tokens = tonumber(ARGV[j])
  for _, l in ipairs(limits) do
    l.need = l.tokens and tokens or 1
    l.wait = math.max(0, l.hold - now)
    if l.unheard and not l.tokens then
      local spans = (now - l.born) / UNHEARD_TIME
      if l.total >= UNHEARD * 2 ^ math.floor(spans) then
        l.wait = math.max(l.wait, (1 - spans % 1) * UNHEARD_TIME)
      end
    elseif l.rate > 0 then
      -- A call larger than the whole bucket waits until that is full.
      local most = top(l)
      local missing = math.min(l.need + math.min(l.rate * MARGIN, most / 4), most) - l.level
      if missing > HAIR then
        short = math.max(short, missing / speed(l))
        l.wait = math.max(l.wait, short)
      end
    end
    wait = math.max(wait, l.wait)
  end
  if others then wait = math.max(wait, turn_at - now + TURN_GRACE) end
  if wait > 0 then break end
  for _, l in ipairs(limits) do
    l.level, l.total, l.way = l.level - l.need, l.total + l.need, l.way + l.need
  end
  granted = granted + 1
end

local again = turns[3] == who and now < tonumber(turns[4]) + 2 * TURN_GRACE
if granted > 0 and turn == who then
  redis.call('HSET', KEYS[1], 'turn', '', 'last', who, 'last_at', now)
elseif short > 0 and not others and not again then
  redis.call('HSET', KEYS[1], 'turn', who, 'turn_at', now + short)
end

local answer = {granted, math.ceil(wait * 1000)}
for i, l in ipairs(limits) do
  local full = store(l)
  local limited = wait > 0 and l.wait > 0
  answer[i + 2] = {limited and 1 or 0, math.floor(l.rate * 60 + 0.5),
                   math.floor(math.max(0, l.level)), limited and math.ceil(l.wait * 1000) or -1,
                   math.ceil(full * 1000), tostring(l.rate), tostring(l.cap), tostring(l.level),
                   string.format('%.6f', l.total),
                   tostring(l.way)}
end
return answer
)";

}  // namespace postgen
