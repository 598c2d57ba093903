-- SPDX-License-Identifier: MIT
--- Runs a case: a guest, what the host does to it, and what is to come of that.
--
--   code      the guest's, at board.CODE
--   more      { [address] = code }
--   regs      { register = value } to begin with, besides the board's
--   cpus      { regs, ... } where there are several vCPUs: the registers of each
--   map       { { at=, size=, prot= }, ... } memory, besides the board's
--   words     { [address] = value } 64 bits each, in memory before
--   setup     function(vm, cpu, log): more of the host's, such as handlers
--   needs     a feature that a CPU may lack (board.features)
--   trace     what leaves the guest, in order: { kind, field = value, ... }; with
--               regs    { register = value } when it has left
--               stack   { [n] = word } on its stack then, from the top (board.word)
--               host    function(vm, cpu): what the host does before that
--               by      "run" (else), "enter" or "step"
--               with    the options of that run
--               answer  to what it reads
--               raises  the words of the error that the run ends in, no kind then
--             Of several vCPUs: { trace, ... }, one for each.
--   after     { register = value } in the end; of several: { regs, ... }
--   memory    { [address] = value } in the end
--   log       what `setup` is to have added to its log
--
-- A trace whose exits all come of plain runs is gone through twice: each of them
-- ends a run, and each of them is a handler's in one run.

local hv = require "hv"

-- Fields of a row that no exit has.
local OURS = { [1] = true, regs = true, stack = true, host = true, by = true,
    with = true, answer = true, raises = true }

-- Exits that no handler gets: they end the run.
local ENDS = { stop = true, timeout = true, budget = true, kick = true, error = true }

local function show(value)
    if math.type(value) == "integer" then
        return (value > -10 and value < 10) and tostring(value) or ("0x%x"):format(value)
    end
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function sorted(fields)
    local names = {}
    for name in pairs(fields or {}) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

-- ---- what differs ------------------------------------------------------

-- Adds to `found` how `got(name)` differs from the fields wanted.
local function differences(found, wanted, got, skip)
    for _, name in ipairs(sorted(wanted)) do
        local value = not (skip and skip[name]) and got(name)
        if not (skip and skip[name]) and value ~= wanted[name] then
            found[#found + 1] = ("%s: got %s, want %s"):format(name, show(value),
                show(wanted[name]))
        end
    end
end

local function text_keys(row)
    local fields = {}
    for name, value in pairs(row) do
        if type(name) == "string" then
            fields[name] = value
        end
    end
    return fields
end

-- An exit against its row: what differs, and whether it is another exit altogether.
local function compare(board, row, exit, cpu)
    local found = {}
    local kind = row.raises and "raises" or row[1]
    if exit.kind ~= kind then
        local got = exit.kind
        for _, name in ipairs { "imm", "port", "addr", "size", "write", "reg", "syndrome",
            "why" } do
            got = exit[name] ~= nil and ("%s %s=%s"):format(got, name, show(exit[name]))
                or got
        end
        return { ("got %s, at pc %s"):format(got, show(cpu.pc or cpu.rip)) }, true
    end
    if row.raises and not exit.why:find(row.raises, 1, true) then
        found[1] = ("raised %q"):format(exit.why)
    end
    differences(found, text_keys(row), function(name) return exit[name] end, OURS)
    differences(found, row.regs, function(name) return cpu[name] end)
    differences(found, row.stack, function(n) return board.word(cpu, n) end)
    return found, false
end

local function row_words(row)
    local words = { row.raises and ("raises %q"):format(row.raises) or row[1] }
    for _, name in ipairs(sorted(text_keys(row))) do
        if not OURS[name] then
            words[#words + 1] = name .. "=" .. show(row[name])
        end
    end
    return table.concat(words, " ")
end

-- A trace as it is gone through.
local function follow(board, trace)
    return { board = board, trace = trace, at = 0, lines = {}, failed = false }
end

-- The exit that has come is the next of the trace. False: it is not, at all.
local function step(path, exit, cpu)
    path.at = path.at + 1
    local row = path.trace[path.at]
    if not row then
        path.failed = true
        path.lines[#path.lines + 1] = ("  %d: one more: %s"):format(path.at,
            compare(path.board, { "nothing" }, exit, cpu)[1])
        return false
    end
    local found, other = compare(path.board, row, exit, cpu)
    path.failed = path.failed or #found > 0
    path.lines[#path.lines + 1] = ("  %d: %s%s"):format(path.at, row_words(row),
        #found == 0 and "" or "\n       " .. table.concat(found, "\n       "))
    return not other
end

local function missing(path)
    for i = path.at + 1, #path.trace do
        path.failed = true
        path.lines[#path.lines + 1] = ("  %d: %s\n       did not come"):format(i,
            row_words(path.trace[i]))
    end
end

local function judge(how, paths, found)
    local failed, lines = #found > 0, {}
    for i, path in ipairs(paths) do
        missing(path)
        failed = failed or path.failed
        lines[#lines + 1] = #paths > 1 and ("vcpu %d:"):format(i - 1) or nil
        table.move(path.lines, 1, #path.lines, #lines + 1, lines)
    end
    if failed then
        error(("%s:\n%s\n%s"):format(how, table.concat(lines, "\n"),
            table.concat(found, "\n")), 0)
    end
end

-- ---- the machine -------------------------------------------------------

local function load_all(vm, board, case)
    local function put(at, code)
        vm:load(at, hv.asm(code, { arch = board.arch, bits = case.asm or case.bits }))
    end
    for _, range in ipairs(case.map or {}) do
        vm:map(range)
    end
    put(board.CODE, case.code)
    for at, code in pairs(case.more or {}) do
        put(at, code)
    end
    for at, value in pairs(case.words or {}) do
        vm:u64(at, value)
    end
end

local function make(board, case, open)
    local vm = open { memory = board.MEMORY }
    local cpus, log = {}, {}
    board.prepare(vm, case)
    load_all(vm, board, case)
    for i, extra in ipairs(case.cpus or { {} }) do
        local regs = board.registers(case)
        for _, more in ipairs { case.regs or {}, extra } do
            for name, value in pairs(more) do
                regs[name] = value
            end
        end
        cpus[i] = vm:vcpu(regs)
    end
    if case.setup then
        case.setup(vm, cpus[1], log)
    end
    return vm, cpus, log
end

local function results(board, case, vm, cpus, log)
    local found = {}
    local after = case.cpus and case.after or { case.after }
    for i, cpu in ipairs(cpus) do
        local note = #cpus > 1 and ("vcpu %d: "):format(i - 1) or ""
        local at = #found
        differences(found, after and after[i], function(name) return cpu[name] end)
        for n = at + 1, #found do
            found[n] = note .. found[n]
        end
    end
    for _, at in ipairs(sorted(case.memory)) do
        local got = vm:u64(at)
        if got ~= case.memory[at] then
            found[#found + 1] = ("memory at %s: got %s, want %s"):format(show(at), show(got),
                show(case.memory[at]))
        end
    end
    for i = 1, math.max(#log, #(case.log or {})) do
        local want = (case.log or {})[i]
        if log[i] ~= want then
            found[#found + 1] = ("log %d: got %s, want %s"):format(i, show(log[i]),
                show(want))
        end
    end
    return found
end

-- ---- each exit ends a run ----------------------------------------------

local function leave_once(vm, cpu, row, timeout)
    if row.by == "step" then
        return cpu:step()
    elseif row.by == "enter" then
        return cpu:enter()
    end
    local options = { timeout = timeout }
    for name, value in pairs(row.with or {}) do
        options[name] = value
    end
    local ok, exit = pcall(vm.run, vm, options)
    return ok and exit or { kind = "raises", why = tostring(exit) }
end

local function by_runs(board, case, open, timeout)
    local vm, cpus, log = make(board, case, open)
    local path, cpu = follow(board, case.trace), cpus[1]
    for _, row in ipairs(case.trace) do
        if row.host then
            row.host(vm, cpu)
        end
        local exit = leave_once(vm, cpu, row, timeout)
        if not step(path, exit, cpu) then
            break
        end
        if row.answer and not exit.write then
            cpu:answer(row.answer)
        end
    end
    judge("each exit ends a run", { path }, results(board, case, vm, cpus, log))
    vm:close()
end

-- ---- each exit is a handler's -------------------------------------------

local function park(board, paths, vm, cpu)
    for _, path in ipairs(paths) do
        if path.failed or path.at < #path.trace then
            board.park(cpu)
            return
        end
    end
    vm:stop()
end

local function handler(board, paths, vm)
    return function(cpu, exit)
        local path = paths[cpu.index + 1]
        local same = step(path, exit, cpu)
        local row, following = path.trace[path.at], path.trace[path.at + 1]
        if not same or path.failed then
            vm:stop()
        elseif following then
            if following.host then
                following.host(vm, cpu)
            end
        else
            park(board, paths, vm, cpu)
        end
        return row and row.answer
    end
end

local function by_handlers(board, case, open, timeout)
    local vm, cpus, log = make(board, case, open)
    local paths = {}
    for i, trace in ipairs(case.cpus and case.trace or { case.trace }) do
        paths[i] = follow(board, trace)
        for _, row in ipairs(trace) do
            vm:on(row[1], handler(board, paths, vm))
        end
        if trace[1] and trace[1].host then
            trace[1].host(vm, cpus[i])
        end
    end
    local exit = vm:run { timeout = timeout }
    local found = results(board, case, vm, cpus, log)
    if exit.kind ~= "stop" then
        table.insert(found, 1, ("the run ended: %s, at pc %s%s"):format(exit.kind,
            show(exit.cpu and (exit.cpu.pc or exit.cpu.rip)),
            exit.why and ": " .. exit.why or ""))
    end
    judge("each exit is a handler's", paths, found)
    vm:close()
end

-- ---- a case ------------------------------------------------------------

local function is_plain(case)
    for _, row in ipairs(case.trace) do
        if row.by or row.with or row.raises or ENDS[row[1]] then
            return false
        end
    end
    return not case.setup
end

local function lacks(board, case, open)
    if not case.needs then
        return nil
    end
    local vm <close> = open { memory = board.MEMORY }
    return board.lacks(vm:vcpu(), case.needs)
end

-- Raises what differs. What this CPU lacks for the case, in words, or nil.
return function(board, case, open, timeout)
    local why = lacks(board, case, open)
    if why then
        return why
    end
    if not case.cpus then
        by_runs(board, case, open, timeout)
    end
    if case.cpus or is_plain(case) then
        by_handlers(board, case, open, timeout)
    end
end
