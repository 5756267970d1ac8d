-- The arithmetic of tripcurve-fleet, in one step of the server. It computes what src/sums/ computes;
-- a test compares the two field by field. All numbers are integers below 2^53, which a number of Lua
-- keeps exactly.
--
-- KEYS: the state, with :m the members that failed, with :a and :b the announced rates.
-- ARGV: the channel, the operation, the member as 16 hex digits, then integers.
local floor, max, min = math.floor, math.max, math.min
local call = redis.call

local EXACT, SHARE, GAIN, RATE = 2 ^ 53 - 1, 65536, 524288, 10000000000
local WAIT, ROUND = 60000, 1000000000
local LIFETIME, CLAIM, AHEAD, TURN = 3600000, 1000, 86400000, 60000
local BACK = 10000
local MAX_EXPECTED, MAX_SUM, MAX_MEMBERS = 9000000000000, 100000000000, 100000
local MAX_FAILURES, MAX_ENTRIES, MAX_LEASES = 100000, 2048, 64
local CLOSED, OPEN, RAMP = 0, 1, 2

local function parse(text)
    local list = {}
    for word in string.gmatch(text or '', '%-?%d+') do
        list[#list + 1] = tonumber(word)
    end
    return list
end

local function pack(list)
    local words = {}
    for i = 1, #list do
        words[i] = string.format('%.0f', list[i])
    end
    return table.concat(words, ' ')
end

-- The state: a list of numbers in this order. New ones are added at the end.
local NAMES = {
    'last', 'epoch', 'state', 'share', 'round', 'opened', 'changed',
    'turn', 'due', 'ends', 'wait', 'held',
    'ramp', 'good', 'bad',
    'un', 'uf', 'us', 'ue', 'ub', 'ua',
    'tn', 'tf', 'ts', 'te', 'tb', 'ta',
    'entries', 'newer', 'turned', 'nsum', 'nfail', 'nmembers', 'osum', 'ofail', 'omembers',
}
local stored = call('HMGET', KEYS[1], 's', 'h', 'w')
local st = {}
local function read(text)
    local list = parse(text)
    for i, name in ipairs(NAMES) do
        st[name] = list[i] or 0
    end
end
read(stored[1])
local holders = stored[2] or ''
-- The two members with the most bad calls of a round: member, good, bad.
local worst = {}
for m, good, bad in string.gmatch(stored[3] or '', '(%x+) (%d+) (%d+)') do
    worst[#worst + 1] = {m, tonumber(good), tonumber(bad)}
end

local time = call('TIME')
local clock = time[1] * 1000 + floor(time[2] / 1000)
local is_back = st.last - clock > BACK
local now = max(clock, is_back and 0 or st.last, 1)

-- The bounds of each number, in the order of the arguments.
local channel, operation, member = ARGV[1], ARGV[2], ARGV[3]
local number, natural, wait, gain, share = {1, EXACT}, {0, EXACT}, {1, WAIT}, {-GAIN, GAIN}, {1, SHARE}
local some, rate, flag, round = {0, SHARE}, {0, RATE}, {0, 1}, {1, ROUND}
local BOUNDS = {
    report = {number, {1, 255}, {0, 522240}, {0, WAIT},
        gain, share, gain, share, gain, share, gain, some},
    weigh = {gain, share, gain, share, gain, share, gain, share,
        gain, some, gain, some, gain, some, gain, some},
    pulse = {rate, {0, SHARE / 4}},
    trip = {natural, natural, number, number, natural, natural, natural, natural, wait},
    lease = {natural, rate, flag, wait},
    result = {natural, number, flag, some},
    round = {number, natural, round, {0, 100000}, {0, 100000}},
    step = {natural, round, {0, 2}, some},
}
local bounds = BOUNDS[operation]
if not bounds then
    return redis.error_reply('UNKNOWN operation')
end
local sender = {{0, min(EXACT, now + AHEAD)}, {0, 2}, share, round}
local a, from = {}, {}
local function refused(i, least, most)
    return redis.error_reply('REFUSED ' .. pack({i, least, most}))
end
for i = 1, #sender + #bounds do
    local it = sender[i] or bounds[i - #sender]
    local value = tonumber(ARGV[i + 3])
    if not (value and value == floor(value) and value >= it[1] and value <= it[2]) then
        return refused(i, it[1], it[2])
    end
    if i <= #sender then
        from[i] = value
    else
        a[i - #sender] = value
    end
end
if not string.find(member, '^%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$') then
    return refused(0, 0, 0)
end
-- What depends on another number.
if operation == 'report' and a[3] > 2048 * a[2] then
    return refused(7, 0, 2048 * a[2])
end
if operation == 'result' or operation == 'step' then
    local last = #a
    local least, most = 1, WAIT
    if operation == 'result' and a[3] == 1 or operation == 'step' and a[3] == 0 then
        most = SHARE
    elseif operation == 'step' and a[3] == 1 then
        least, most = 0, 0
    end
    if a[last] < least or a[last] > most then
        return refused(last + 4, least, most)
    end
end

local changed = false

-- Numbers of a series that don't repeat if the state is lost.
local function next_number(last)
    return max(last + 1, now)
end

local function since(past)
    if past == 0 then
        return 0
    end
    return min(now - past, LIFETIME)
end

-- An excursion is 'u', against the usual failure rate, or 't', against the tolerated one.
local function end_excursion(x)
    st[x .. 'n'] = next_number(st[x .. 'n'])
    for _, it in ipairs({'f', 's', 'e', 'b', 'a'}) do
        st[x .. it] = 0
    end
end

local function restart_ramp()
    st.ramp, st.good, st.bad = next_number(st.ramp), 0, 0
    worst = {}
end

local function set_turn(turn, due)
    st.turn, st.due, st.ends, st.wait, st.held = turn, due, 0, 0, 0
    holders = ''
end

local function enter(state)
    st.epoch = next_number(st.epoch)
    if st.state == CLOSED then
        st.opened = now
    end
    if state == CLOSED then
        st.opened = 0
    end
    st.state = state
    st.share = state == CLOSED and SHARE or 0
    st.round, st.changed = 0, now
    set_turn(0, 0)
    restart_ramp()
    end_excursion('u')
    end_excursion('t')
end

local function begin_round(admitted, round_number)
    st.share, st.round, st.changed = admitted, round_number, now
    restart_ramp()
end

-- Time: what is too old goes, the expected calls grow, and rates fade.
if is_back or now - st.last >= LIFETIME then
    if st.last > 0 then
        call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
    end
    read('')
    holders, worst = '', {}
end
if st.last == 0 then
    st.share, st.turned = SHARE, now
end
-- Failures go on, but the calls that belong to them aren't expected.
if clock < st.last then
    end_excursion('u')
    end_excursion('t')
end
local function expect(x, calls)
    if st[x .. 'f'] > 0 then
        st[x .. 'e'] = min(st[x .. 'e'] + calls, MAX_EXPECTED)
    end
end
local expected = min((st.nsum + st.osum) * (now - st.last), MAX_EXPECTED)
expect('u', expected)
expect('t', expected)
local turns = floor((now - st.turned) / TURN)
if turns > 0 then
    call('DEL', KEYS[4 - st.newer])
    st.newer = 1 - st.newer
    st.osum, st.ofail, st.omembers = st.nsum, st.nfail, st.nmembers
    st.nsum, st.nfail, st.nmembers = 0, 0, 0
    if turns > 1 then
        call('DEL', KEYS[4 - st.newer])
        st.osum, st.ofail, st.omembers = 0, 0, 0
    end
    st.turned = st.turned + turns * TURN
end
local newer, older = KEYS[3 + st.newer], KEYS[4 - st.newer]

-- A newer state is taken over from the sender.
if from[1] > st.epoch then
    enter(from[2])
    st.epoch = from[1]
    if from[2] == OPEN then
        set_turn(now, now + 1000)
    elseif from[2] == RAMP then
        begin_round(from[3], from[4])
    end
    changed = true
end

local function members()
    return st.nmembers + st.omembers
end

local function normal()
    local sum = st.nsum + st.osum
    if sum == 0 then
        return 655
    end
    return floor((st.nfail + st.ofail) / sum)
end

local function is_full()
    if st.ends == 0 then
        return false
    end
    return st.held * st.wait >= 2000000 or #holders >= 17 * MAX_LEASES
end

local function view()
    local due = max(st.due - now, 0)
    if is_full() then
        due = max(st.ends - now, 0)
    end
    return {
        st.epoch, st.state, st.share, st.round, st.turn, since(st.opened), since(st.changed), due,
        members(), st.nsum + st.osum, normal(), now,
    }
end

local function evidence(surprise, failures, calls, per_failure, excess)
    local against = floor(floor(calls / 1000) * excess / 1000)
    return surprise * 256 + failures * per_failure - against
end

local function excess(of_calls)
    return max(of_calls - normal(), 1)
end

local function push(answer, list)
    for i = 1, #list do
        answer[#answer + 1] = list[i]
    end
end

local function sums(x)
    return {st[x .. 'n'], st[x .. 'f'], st[x .. 's'], st[x .. 'e'], since(st[x .. 'b'])}
end

-- An entry: its last number; excursion, failures and surprise; excursion and failures against the
-- tolerated rate; round, good and bad calls.
local ENTRY = {0, 0, 0, 0, 0, 0, 0, 0, 0}

-- Returns the member's entry, if the number is new.
local function new_entry(n)
    local text = call('HGET', KEYS[2], member)
    if text then
        local entry = parse(text)
        if n <= entry[1] then
            return nil
        end
        entry[1] = n
        return entry
    end
    if st.entries >= MAX_ENTRIES then
        call('DEL', KEYS[2])
        st.entries = 0
        end_excursion('u')
        end_excursion('t')
        restart_ramp()
    end
    st.entries = st.entries + 1
    local entry = {unpack(ENTRY)}
    entry[1] = n
    return entry
end

local function write_entry(entry)
    call('HSET', KEYS[2], member, pack(entry))
end

-- Whether evidence for any of these outages is left.
local function is_left(x, outages)
    for i = 1, #outages do
        local per_failure, beyond = outages[i][1], outages[i][2]
        if evidence(st[x .. 's'], st[x .. 'f'], st[x .. 'e'], per_failure, beyond) > 0 then
            return true
        end
    end
    return false
end

-- Adds failures. `at` is where the excursion's number stands in the entry.
local function add(x, entry, at, failures, surprise, spread, outages)
    local f, s, e, b = x .. 'f', x .. 's', x .. 'e', x .. 'b'
    if st[f] > 0 and st[x .. 'a'] ~= now then
        if not is_left(x, outages) or st[e] >= MAX_EXPECTED then
            end_excursion(x)
        end
    end
    if st[x .. 'n'] == 0 then
        end_excursion(x)
    end
    if st[f] == 0 then
        st[b] = now
    end
    local begin = max(now - spread, 1)
    if begin < st[b] then
        local earlier = min((st.nsum + st.osum) * (st[b] - begin), MAX_EXPECTED)
        st[e] = min(st[e] + earlier, MAX_EXPECTED)
        st[b] = begin
    end
    local with_surprise = x == 'u'
    if entry[at] ~= st[x .. 'n'] then
        entry[at], entry[at + 1] = st[x .. 'n'], 0
        if with_surprise then
            entry[at + 2] = 0
        end
    end
    local more = min(failures, MAX_FAILURES - entry[at + 1])
    entry[at + 1] = entry[at + 1] + more
    st[f] = st[f] + more
    if with_surprise then
        more = min(surprise, 2048 * MAX_FAILURES - entry[at + 2])
        entry[at + 2] = entry[at + 2] + more
        st[s] = st[s] + more
    end
    st[x .. 'a'] = now
end

-- Finds the members that add most evidence for each of four outages. `failing` has the members with
-- failures: member, failures, surprise.
local function loudest(x, failing, outages)
    local most = {}
    for i = 1, 4 do
        most[i] = {{0, ''}, {0, ''}}
    end
    -- Of equal ones the lowest comes first. No member is below ''.
    local function is_more(adds, m, it)
        return adds > it[1] or adds == it[1] and m < it[2]
    end
    local young, old, ids = {}, {}, {}
    for i, it in ipairs(failing) do
        ids[i] = it[1]
    end
    if #ids > 0 then
        young = call('HMGET', newer, unpack(ids))
        old = call('HMGET', older, unpack(ids))
    end
    for i, it in ipairs(failing) do
        local m, failures, surprise, calls = it[1], it[2], it[3], 0
        local text = young[i] or old[i]
        if text then
            local lowest, began = string.match(text, '^%d+ %d+ (%d+) (%d+)')
            calls = min(lowest * (now - max(st[x .. 'b'], tonumber(began))), MAX_EXPECTED)
        end
        for j = 1, 4 do
            local adds = evidence(surprise, failures, calls, outages[j][1], outages[j][2])
            if adds > 0 then
                local first, second = most[j][1], most[j][2]
                if is_more(adds, m, first) then
                    most[j] = {{adds, m, failures, surprise, calls}, first}
                elseif is_more(adds, m, second) then
                    most[j][2] = {adds, m, failures, surprise, calls}
                end
            end
        end
    end
    local count = members()
    local left_out = count < 2 and 0 or count < 5 and 1 or 2
    local is_blind = true
    for j = 1, 4 do
        local per_failure, beyond = outages[j][1], outages[j][2]
        local others = evidence(st[x .. 's'], st[x .. 'f'], st[x .. 'e'], per_failure, beyond)
        for i = 1, left_out do
            others = others - most[j][i][1]
        end
        is_blind = is_blind and others < -131072
    end
    local answer = {}
    if is_blind then
        end_excursion(x)
        push(answer, sums(x))
        push(answer, {0, 0})
        return answer
    end
    local listed, count_listed, list = {}, 0, {}
    for j = 1, 4 do
        for i = 1, 2 do
            local it = most[j][i]
            if it[1] > 0 and not listed[it[2]] then
                listed[it[2]] = true
                count_listed = count_listed + 1
                push(list, {it[3], it[4], it[5]})
            end
        end
    end
    push(answer, sums(x))
    push(answer, {#failing, count_listed})
    push(answer, list)
    return answer
end

local function is_open(epoch)
    return st.state == OPEN and st.epoch == epoch
end

local function is_round(epoch, n)
    return st.state == RAMP and st.epoch == epoch and st.round == n
end

local function holds(x, at)
    return st[x .. 'n'] == a[at] and st[x .. 'f'] >= a[at + 1] and st[x .. 's'] >= a[at + 2]
end

local OPERATIONS = {}

function OPERATIONS.report()
    local counted = 0
    if st.state == CLOSED and from[1] == st.epoch then
        -- Without announced traffic, a member's failures can't be compared with its calls.
        local announced = call('HGET', newer, member) or call('HGET', older, member)
        local entry = announced and new_entry(a[1])
        if entry then
            counted = 1
            add('u', entry, 2, a[2], a[3], a[4],
                {{a[5], excess(a[6])}, {a[7], excess(a[8])}, {a[9], excess(a[10])}})
            if a[12] > 0 then
                add('t', entry, 5, a[2], 0, a[4], {{a[11], a[12]}})
            end
            write_entry(entry)
        end
    end
    local answer = view()
    push(answer, {counted})
    push(answer, sums('u'))
    push(answer, a[12] > 0 and sums('t') or {0, 0, 0, 0, 0})
    return answer
end

function OPERATIONS.weigh()
    local flat = call('HGETALL', KEYS[2])
    local usual_number, tolerated_number = pack({st.un}), pack({st.tn})
    local usual, tolerated = {}, {}
    for i = 1, #flat, 2 do
        local un, uf, us, tn, tf =
            string.match(flat[i + 1], '^%d+ (%d+) (%d+) (%d+) (%d+) (%d+)')
        if un == usual_number and uf ~= '0' then
            usual[#usual + 1] = {flat[i], tonumber(uf), tonumber(us)}
        end
        if tn == tolerated_number and tf ~= '0' then
            tolerated[#tolerated + 1] = {flat[i], tonumber(tf), 0}
        end
    end
    local outages = {}
    for j = 1, 4 do
        outages[j] = {a[2 * j - 1], excess(a[2 * j])}
    end
    usual = loudest('u', usual, outages)
    if a[10] > 0 then
        for j = 1, 4 do
            outages[j] = {a[2 * j + 7], a[2 * j + 8]}
        end
        tolerated = loudest('t', tolerated, outages)
    else
        tolerated = {0, 0, 0, 0, 0, 0, 0}
    end
    local answer = view()
    push(answer, usual)
    push(answer, tolerated)
    return answer
end

function OPERATIONS.pulse()
    local text = call('HGET', newer, member)
    local before
    if text then
        before = parse(text)
        st.nsum, st.nfail = st.nsum - before[1], st.nfail - before[1] * before[2]
        st.nmembers = st.nmembers - 1
    else
        text = call('HGET', older, member)
        if text then
            before = parse(text)
            call('HDEL', older, member)
            st.osum, st.ofail = st.osum - before[1], st.ofail - before[1] * before[2]
            st.omembers = st.omembers - 1
        end
    end
    local counted = 0
    if members() < MAX_MEMBERS then
        local announced = min(a[1], MAX_SUM - st.nsum - st.osum)
        local lowest, began = announced, now
        if before and announced <= 2 * before[3] then
            lowest, began = min(before[3], announced), before[4]
        end
        call('HSET', newer, member, pack({announced, a[2], lowest, began}))
        call('PEXPIRE', newer, LIFETIME)
        st.nsum, st.nfail = st.nsum + announced, st.nfail + announced * a[2]
        st.nmembers = st.nmembers + 1
        counted = announced == a[1] and 1 or 0
    end
    local answer = view()
    push(answer, {counted})
    return answer
end

function OPERATIONS.trip()
    local won = st.state == CLOSED and st.epoch == a[1] and a[2] <= now and now - a[2] <= CLAIM
        and holds('u', 3) and (a[6] == 0 or holds('t', 6))
    if won then
        enter(OPEN)
        set_turn(now, now + a[9])
        changed = true
    end
    local answer = view()
    push(answer, {won and 1 or 0})
    return answer
end

function OPERATIONS.lease()
    local turn, ends = 0, 0
    if is_open(a[1]) then
        if st.ends > 0 and now >= st.ends then
            set_turn(st.turn + 1, now)
        end
        local granted = string.find(holders, member, 1, true)
        if not granted and now >= st.due and not is_full() then
            if st.ends == 0 then
                st.wait = a[4]
                st.ends = now + max(a[4], 1000)
            end
            st.held = st.held + (a[3] == 1 and RATE or a[2])
            holders = holders .. member .. ','
            granted = true
        end
        if granted then
            turn, ends = st.turn, st.ends - now
        end
    end
    local answer = view()
    push(answer, {turn, ends})
    return answer
end

function OPERATIONS.result()
    local counted = is_open(a[1]) and st.turn == a[2] and now < st.ends
        and string.find(holders, member, 1, true) ~= nil
    if counted then
        if a[3] == 1 then
            enter(RAMP)
            begin_round(a[4], 1)
        else
            set_turn(st.turn + 1, now + a[4])
        end
        changed = true
    end
    local answer = view()
    push(answer, {counted and 1 or 0})
    return answer
end

function OPERATIONS.round()
    local entry
    if is_round(a[2], a[3]) then
        entry = new_entry(a[1])
    end
    if entry then
        if entry[7] ~= st.ramp then
            entry[7], entry[8], entry[9] = st.ramp, 0, 0
        end
        entry[8], entry[9] = entry[8] + a[4], entry[9] + a[5]
        st.good, st.bad = st.good + a[4], st.bad + a[5]
        write_entry(entry)
        local ranked = {}
        for _, it in ipairs(worst) do
            if it[1] ~= member then
                ranked[#ranked + 1] = it
            end
        end
        if entry[9] > 0 then
            ranked[#ranked + 1] = {member, entry[8], entry[9]}
        end
        table.sort(ranked, function(x, y)
            return x[3] > y[3] or x[3] == y[3] and x[1] < y[1]
        end)
        worst = {ranked[1], ranked[2]}
    end
    local answer = view()
    push(answer, {entry and 1 or 0, st.good, st.bad})
    for i = 1, 2 do
        push(answer, worst[i] and {worst[i][2], worst[i][3]} or {0, 0})
    end
    return answer
end

function OPERATIONS.step()
    local won = is_round(a[1], a[2])
    if won then
        if a[3] == 0 then
            begin_round(a[4], min(a[2] + 1, ROUND))
        elseif a[3] == 1 then
            enter(CLOSED)
        else
            enter(OPEN)
            set_turn(now, now + a[4])
        end
        changed = true
    end
    local answer = view()
    push(answer, {won and 1 or 0})
    return answer
end

local answer = OPERATIONS[operation]()
st.last = now
local list, lines = {}, {}
for i, name in ipairs(NAMES) do
    list[i] = st[name]
end
for i, it in ipairs(worst) do
    lines[i] = it[1] .. ' ' .. pack({it[2], it[3]})
end
call('HSET', KEYS[1], 's', pack(list), 'h', holders, 'w', table.concat(lines, ' '))
call('PEXPIRE', KEYS[1], LIFETIME)
call('PEXPIRE', KEYS[2], LIFETIME)
if changed then
    call('PUBLISH', channel, KEYS[1] .. ' ' .. pack(view()))
end
return answer
