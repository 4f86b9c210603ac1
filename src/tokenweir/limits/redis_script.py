"""The holder of the truth as one script for Redis or Valkey: ``holder`` has the same rules, and the same tests.

A rate is a hash of slots and units; a quota, a number that is gone two months after its last use; calls under way, a
hash of relays, their units and until when they are believed in. The time is Redis's own, so no other does.

Redis may come back without what it knew. Where a relay that had asked before finds that the truth is new, nobody gets
anything for two seconds: so long all relays tell what they know to have been out, and the most of that is the truth.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from .holder import HELD_TERM, SHARE, Ask, Granted, Held, Return
from .slices import RATE_TERM

__all__ = ["RECALL_SECONDS", "SCRIPT", "arguments", "granted_of"]

RECALL_SECONDS: Final = 2.0
"""How long relays tell what they know to a truth that is new."""

SCRIPT: Final = """
local root, told = KEYS[1], cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local second = math.floor(now)
local function whole(n) return n == 0 and '0' or string.format('%.0f', n) end

local born = tonumber(redis.call('GET', root .. 'born'))
if not born then
  born = math.floor(now * 1000)
  redis.call('SET', root .. 'born', whole(born))
  if not told.has_met then redis.call('SET', root .. 'first', '1') end
end
local is_new = now - born / 1000 < told.recall and redis.call('EXISTS', root .. 'first') == 0

local function rate_of(key)
  local total, slots = 0, {}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local slot, units = tonumber(all[i]), tonumber(all[i + 1])
    if slot < second - 60 then
      redis.call('HDEL', key, all[i])
    else
      total = total + units
      slots[#slots + 1] = {slot, units}
    end
  end
  table.sort(slots, function(a, b) return a[1] < b[1] end)
  return total, slots
end

-- By how much the truth has to grow, where it is new or gone: to what one relay knows at least, and what others have
-- told since beyond that.
local function recalled(key, known)
  if known <= 0 or not (is_new or redis.call('EXISTS', key) == 0) then return 0 end
  local base = tonumber(redis.call('GET', key .. ':known') or '0')
  if known <= base then return 0 end
  redis.call('SET', key .. ':known', whole(known), 'EX', '30')
  return known - base
end

local function hold(key, units)
  if units > 0 then
    redis.call('HSET', key, told.relay, whole(units) .. ':' .. string.format('%.3f', now + told.held_term))
    redis.call('EXPIRE', key, 120)
  else
    redis.call('HDEL', key, told.relay)
  end
end

local function calls_of(key)
  local total, mine = 0, 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local units, till = string.match(all[i + 1], '(.*):(.*)')
    if now < tonumber(till) then
      total = total + tonumber(units)
      if all[i] == told.relay then mine = tonumber(units) end
    else
      redis.call('HDEL', key, all[i])
    end
  end
  return total, mine
end

for _, one in ipairs(told.held) do hold(root .. 'c:' .. one[1], one[2]) end

for _, one in ipairs(told.returns) do
  local name, window, slot, units = one[1], one[2], one[3], one[4]
  if window == 'minute' then
    local key = root .. 'r:' .. name
    if redis.call('HEXISTS', key, whole(slot)) == 1 then
      redis.call('HINCRBY', key, whole(slot), whole(-units))
    elseif units < 0 then
      redis.call('HINCRBY', key, whole(second), whole(-units))
      redis.call('EXPIRE', key, 120)
    end
  elseif window == '' then
    local key = root .. 'c:' .. name
    local _, mine = calls_of(key)
    hold(key, mine - units)
  else
    local key = root .. 'q:' .. name .. ':' .. whole(slot)
    if redis.call('EXISTS', key) == 1 or units < 0 then
      redis.call('INCRBY', key, whole(-units))
      redis.call('EXPIRE', key, told.kept)
    end
  end
end

local answers = {}
for _, one in ipairs(told.asks) do
  local name, window, period, amount, least, wish, known = unpack(one)
  local key, given, slots, mine
  if window == 'minute' then
    key = root .. 'r:' .. name
    local more = recalled(key, known)
    if more > 0 then
      redis.call('HINCRBY', key, whole(second), whole(more))
      redis.call('EXPIRE', key, 120)
    end
    given, slots = rate_of(key)
  elseif window == '' then
    key = root .. 'c:' .. name
    given, mine = calls_of(key)
  else
    key = root .. 'q:' .. name .. ':' .. whole(period)
    local more = recalled(key, known)
    if more > 0 then
      redis.call('INCRBY', key, whole(more))
      redis.call('EXPIRE', key, told.kept)
    end
    given = tonumber(redis.call('GET', key) or '0')
  end
  local left, units, slot, wait, reset = amount - given, 0, period, 0, 0
  if is_new then
    units = -1
  elseif left >= least and left > 0 then
    units = least + math.max(0, math.min(wish - least, math.floor((left - least) / told.share)))
  end
  if units > 0 then
    given = given + units
    if window == 'minute' then
      slot = math.floor(now + told.rate_term)
      redis.call('HINCRBY', key, whole(slot), whole(units))
      redis.call('EXPIRE', key, 120)
    elseif window == '' then
      hold(key, mine + units)
    else
      redis.call('INCRBY', key, whole(units))
      redis.call('EXPIRE', key, told.kept)
    end
  elseif window == 'minute' then
    local excess = given + least - amount
    for _, at in ipairs(slots) do
      if excess <= 0 then break end
      excess = excess - at[2]
      if excess <= 0 then wait = at[1] + 61 - now end
    end
  end
  if window == 'minute' and slots and #slots > 0 then reset = slots[#slots][1] + 61 - now end
  answers[#answers + 1] = {whole(units), whole(slot), whole(given), whole(wait * 1000), whole(reset * 1000)}
end
return {whole(born), answers}
"""

_KEPT_SECONDS: Final = 70 * 86_400


def arguments(
    relay: str, asks: Sequence[Ask], returns: Sequence[Return], held: Sequence[Held], *, has_met: bool
) -> list[bytes]:
    """What the script is told. ``has_met``: whether this relay has asked before."""
    told = {
        "relay": relay,
        "asks": asks,
        "returns": returns,
        "held": held,
        "has_met": has_met,
        "share": SHARE,
        "rate_term": RATE_TERM,
        "held_term": HELD_TERM,
        "recall": RECALL_SECONDS,
        "kept": _KEPT_SECONDS,
    }
    return [msgspec.json.encode(told)]


def granted_of(answers: Sequence[Sequence[bytes]]) -> list[Granted | None]:
    """What the script has answered to each ask; ``None`` where the truth is too new to tell."""
    granted: list[Granted | None] = []
    for one in answers:
        units, slot, given, wait, reset = (int(number) for number in one)
        granted.append(Granted(units, slot, given, wait / 1000, reset / 1000) if units >= 0 else None)
    return granted
