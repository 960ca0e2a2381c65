import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyEntry, applyRead, fromSnapshot, LogHole, prependPage, trimTo, type ConversationState, type Entry } from '../src/index.js'
import { Truth, type Act } from './truth.js'

const ME = '1'

/** A room with these acts behind it. */
function after(...acts: Act[]): Truth {
  const truth = new Truth(ME)
  for (const act of acts) truth.act(act)
  return truth
}

const snapshot = (truth: Truth, limit = 1000) => fromSnapshot(truth.conversation(), truth.page({ limit }), ME)
const apply = (state: ConversationState, entries: readonly Entry[]) => entries.reduce(applyEntry, state)
/** What both ways of getting there must agree on. */
const shown = ({ seen: _, ...state }: ConversationState) => state

const hello: Act = { do: 'say', by: '2', text: 'hello' }

describe('applyEntry', () => {
  test('a message is added at the end, and counts as unread', () => {
    const state = apply(snapshot(after()), after(hello).log)
    expect(state.messages).toMatchObject([{ id: 'm1', seq: 1, text: 'hello', by: '2', edit: 0, deleted: false, reactions: [] }])
    expect(state.conversation).toMatchObject({ head: 1, unread: 1, read_seq: 0, last_message: { id: 'm1' } })
  })

  test("one's own message moves one's own mark", () => {
    const state = apply(snapshot(after()), after(hello, { do: 'say', by: ME, text: 'hi' }).log)
    expect(state.conversation).toMatchObject({ unread: 0, read_seq: 2, delivered_seq: 2 })
  })

  test('an edit changes the text, the count and the last message', () => {
    const state = apply(snapshot(after(hello)), after(hello, { do: 'edit', of: 0, text: 'hallo' }).log)
    expect(state.messages).toMatchObject([{ text: 'hallo', edit: 1 }])
    expect(state.conversation.last_message).toEqual(state.messages[0])
  })

  test('a delete leaves a tombstone in its place', () => {
    const acts: Act[] = [hello, { do: 'react', of: 0, by: '3', emoji: '👍' }, { do: 'pin', of: 0 }, { do: 'edit', of: 0, text: 'x' }]
    const state = apply(snapshot(after(...acts)), after(...acts, { do: 'delete', of: 0 }).log)
    expect(state.messages).toMatchObject([{ seq: 1, text: null, deleted: true, reactions: [], attachments: [], pinned: false, edit: 1, edited_at: null }])
  })

  test('what was emptied stays empty, although the log goes on about it', () => {
    const acts: Act[] = [hello, { do: 'edit', of: 0, text: 'x' }, { do: 'react', of: 0, by: '3', emoji: '👍' }, { do: 'pin', of: 0 }]
    const { log } = after(...acts, { do: 'delete', of: 0 })
    expect(apply(snapshot(after()), log.slice(0, 4)).messages).toMatchObject([{ text: null, deleted: true, reactions: [], pinned: false, edit: 1 }])
  })

  test('reactions keep the order of their first use, and go with their last user', () => {
    const acts: Act[] = [
      hello,
      { do: 'react', of: 0, by: '2', emoji: '👍' },
      { do: 'react', of: 0, by: '3', emoji: '🎉' },
      { do: 'react', of: 0, by: '3', emoji: '👍' },
    ]
    const state = apply(snapshot(after()), after(...acts).log)
    expect(state.messages[0]?.reactions).toEqual([
      { emoji: '👍', user_ids: ['2', '3'] },
      { emoji: '🎉', user_ids: ['3'] },
    ])
    const less = apply(state, after(...acts, { do: 'react', of: 0, by: '3', emoji: '🎉' }).log)
    expect(less.messages[0]?.reactions).toEqual([{ emoji: '👍', user_ids: ['2', '3'] }])
  })

  test('members, title and the end are told, and kept as events', () => {
    const acts: Act[] = [{ do: 'join', user: '9' }, { do: 'rename', title: 'New' }, { do: 'leave', user: '9' }, { do: 'close' }]
    const state = apply(snapshot(after()), after(...acts).log)
    expect(state.conversation).toMatchObject({ member_count: 2, title: 'New', closed: true })
    expect(state.events.map(({ kind }) => kind)).toEqual(['member.joined', 'conversation.changed', 'member.left', 'conversation.closed'])
  })

  test("a role of one's own is the conversation's, another's is not", () => {
    const role = (user_id: string, seq: number) =>
      ({ seq, kind: 'member.changed', by: '2', at: '', client_id: 'x', ordinal: 0, user_id, name: 'n', role: 'admin' }) as Entry
    const other = applyEntry(snapshot(after()), role('9', 1))
    expect(other.conversation.role).toBe('member')
    expect(applyEntry(other, role(ME, 2)).conversation.role).toBe('admin')
  })

  test('an assistant\'s answer grows and ends', () => {
    const message = { id: 'm1', kind: 'text', text: '', reply_to: null, thread_of: null, mentions: [], attachments: [], status: 'streaming' }
    const base = { by: '5', at: '', client_id: 'x', ordinal: 1 }
    const state = apply(snapshot(after()), [
      { ...base, seq: 1, kind: 'message.created', message } as Entry,
      { ...base, seq: 2, kind: 'message.completed', message_id: 'm1', text: 'done', status: 'done' },
    ])
    expect(state.messages).toMatchObject([{ text: 'done', status: 'done', edit: 0 }])
  })

  test('a kind of tomorrow counts and changes nothing', () => {
    const before = snapshot(after(hello))
    const state = applyEntry(before, { seq: 2, kind: 'poll.opened', by: '2', at: '', client_id: 'x', ordinal: 1 } as unknown as Entry)
    expect(state.head).toBe(2)
    expect(state.messages).toBe(before.messages)
  })

  test('a repeat is the same state, a hole is an error', () => {
    const truth = after(hello, hello, hello)
    const state = apply(snapshot(after()), truth.log.slice(0, 1))
    expect(applyEntry(state, truth.log[0] as Entry)).toBe(state)
    expect(() => applyEntry(state, truth.log[2] as Entry)).toThrow(LogHole)
  })
})

describe('applyRead', () => {
  test("counts what is left, and never goes back", () => {
    const state = snapshot(after(hello, hello, hello))
    const read = applyRead(state, { conversation_id: '7', user_id: ME, read_seq: 2, delivered_seq: 3 })
    expect(read.conversation).toMatchObject({ read_seq: 2, delivered_seq: 3, unread: 1 })
    expect(applyRead(read, { conversation_id: '7', user_id: ME, read_seq: 1, delivered_seq: 1 })).toBe(read)
  })

  test("another's mark is not ours", () => {
    const state = snapshot(after(hello))
    expect(applyRead(state, { conversation_id: '7', user_id: '2', read_seq: 1, delivered_seq: 1 })).toBe(state)
  })
})

// ── laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

const who = fc.constantFrom(ME, '2', '3')
const of = fc.nat(9)
const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('say' as const), by: who, text: fc.string({ maxLength: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('edit' as const), of, text: fc.string({ maxLength: 3 }) }) },
    fc.record({ do: fc.constant('delete' as const), of }),
    fc.record({ do: fc.constant('ask' as const), by: who }),
    fc.record({ do: fc.constant('complete' as const), of, text: fc.string({ maxLength: 3 }), status: fc.constantFrom('done' as const, 'cancelled' as const, 'interrupted' as const) }),
    { weight: 3, arbitrary: fc.record({ do: fc.constant('react' as const), of, by: who, emoji: fc.constantFrom('👍', '🎉', '❤') }) },
    fc.record({ do: fc.constant('pin' as const), of }),
    fc.record({ do: fc.constant('join' as const), user: fc.constantFrom('8', '9') }),
    fc.record({ do: fc.constant('leave' as const), user: fc.constantFrom('8', '9') }),
    fc.record({ do: fc.constant('rename' as const), title: fc.string({ maxLength: 3 }) }),
  ),
  { maxLength: 40 },
)

describe('laws', () => {
  test('a snapshot and the entries after it are the fresh snapshot, also of what was emptied meanwhile', () => {
    fc.assert(
      fc.property(acts, acts, (before, later) => {
        const old = snapshot(after(...before))
        const now = after(...before, ...later)
        expect(shown(apply(old, now.log))).toEqual(shown(snapshot(now)))
      }),
    )
  })

  test('the two halves of a snapshot may be of different moments', () => {
    fc.assert(
      fc.property(acts, acts, fc.boolean(), (before, later, pageFirst) => {
        const [old, now] = [after(...before), after(...before, ...later)]
        const [early, late] = pageFirst ? [now, old] : [old, now]
        const state = fromSnapshot(early.conversation(), late.page({ limit: 1000 }), ME)
        expect(shown(apply(state, now.log))).toEqual(shown(snapshot(now)))
      }),
    )
  })

  test('repeats and the splitting into pages change nothing', () => {
    fc.assert(
      fc.property(acts, fc.array(fc.nat(40)), (all, cuts) => {
        const { log } = after(...all)
        let state = snapshot(after())
        for (const cut of [...cuts, 0]) state = apply(state, log.slice(0, Math.max(state.head, cut)))
        state = apply(state, log)
        expect(shown(state)).toEqual(shown(snapshot(after(...all))))
      }),
    )
  })

  test('an older page that was read before some of the entries is brought up to date with them', () => {
    fc.assert(
      fc.property(acts, acts, fc.integer({ min: 1, max: 8 }), (before, later, limit) => {
        const [then, now] = [after(...before), after(...before, ...later)]
        const state = snapshot(then, limit)
        const page = then.page({ before: state.lowSeq, limit: 1000 })
        const since = now.log.slice(state.head)
        const whole = state.lowSeq > 1 ? prependPage(apply(state, since), page, since) : apply(state, since)
        expect(shown(whole)).toEqual(shown(snapshot(now)))
      }),
    )
  })

  test('what is trimmed is what a smaller page would not have had', () => {
    fc.assert(
      fc.property(acts, fc.integer({ min: 1, max: 8 }), (all, keep) => {
        const truth = after(...all)
        expect(shown(trimTo(snapshot(truth), keep))).toEqual(shown(snapshot(truth, keep)))
      }),
    )
  })
})
