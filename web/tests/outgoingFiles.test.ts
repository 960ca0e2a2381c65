import type { Draft } from '@parley/sdk'
import { beforeEach, describe, expect, test } from 'vitest'
import { chosen, sift } from '../src/files/choose'
import type { FilesStorage, StoredFileMessage } from '../src/files/filesStorage'
import { OutgoingFiles } from '../src/files/OutgoingFiles'
import { kindOf, type ChosenFile } from '../src/files/outgoing'
import type { TransferHooks } from '../src/files/UploadQueue'

/** What outlives the page. */
class Kept implements FilesStorage {
  readonly messages = new Map<string, StoredFileMessage>()
  readonly blobs = new Map<string, Blob>()
  list = async () => [...this.messages.values()].map((message) => structuredClone(message))
  has = async (id: string) => this.messages.has(id)
  put = async (message: StoredFileMessage) => void this.messages.set(message.clientId, structuredClone(message))
  bytes = async (key: string) => this.blobs.get(key) ?? null
  drop = async (key: string) => void this.blobs.delete(key)
  async remove({ clientId, files }: Pick<StoredFileMessage, 'clientId' | 'files'>) {
    this.messages.delete(clientId)
    for (const { key } of files) this.blobs.delete(key)
  }
  async keep(key: string, bytes: Blob) {
    this.blobs.set(key, bytes)
    return true
  }
}

let kept: Kept
let handed: Draft[]
let givenUp: string[]
let begun: { name: string; url: string | null; hooks: TransferHooks }[]
let ids = 0

function page(userId = '1', { room = true } = {}) {
  const free = { room }
  const outgoing = new OutgoingFiles({
    userId,
    storage: kept,
    transport: (_bytes, { name }, url, hooks) => (begun.push({ name, url, hooks }), { stop: () => {} }),
    newId: () => `id${++ids}`,
    now: () => ids,
    hand: (draft) => {
      if (!free.room) throw new Error('full')
      handed.push(draft)
    },
    fileId: (url) => url.split('/').at(-1)!,
    giveUp: (url) => givenUp.push(url),
    alone: async () => {},
    storageFailed: (cause) => {
      throw cause
    },
  })
  return { outgoing, free }
}

const file = (name: string, more: object = {}): ChosenFile => ({ facts: { name, size: 4, type: 'text/plain', ...more }, bytes: new Blob(['abcd']) })
const turn = () => new Promise((resolve) => setTimeout(resolve))
const last = (name: string) => begun.findLast((one) => one.name === name)!
const shown = (outgoing: OutgoingFiles) => [...outgoing.messages.values()].map(({ text, files }) => [text, ...files.map(({ name, state }) => `${name} ${state}`)])

async function send(outgoing: OutgoingFiles, text: string, ...files: ChosenFile[]) {
  outgoing.send({ conversationId: '7', text, replyTo: null, files })
  await turn()
}

function arrives(name: string, id: string) {
  last(name).hooks.located(`/api/v1/files/uploads/${id}`)
  last(name).hooks.done()
}

beforeEach(() => {
  kept = new Kept()
  handed = []
  givenUp = []
  begun = []
})

describe('a message with files', () => {
  test('goes to the outbox when the last of them is stored, and is kept until it is in the log', async () => {
    const { outgoing } = page()
    await send(outgoing, 'look', file('a.txt'), file('b.txt'))
    arrives('b.txt', '12')
    expect(handed).toEqual([])
    arrives('a.txt', '11')
    const { clientId } = [...outgoing.messages.values()][0]!
    expect(handed).toEqual([{ clientId, conversationId: '7', kind: 'file', text: 'look', attachments: ['11', '12'] }])
    await outgoing.settled()
    expect(kept.messages.size).toBe(1)
    outgoing.forget(clientId)
    await outgoing.settled()
    expect([kept.messages.size, kept.blobs.size, outgoing.messages.size]).toEqual([0, 0, 0])
  })

  test('goes on after a reload where it was, and is sent under the same client_id', async () => {
    const first = page()
    await send(first.outgoing, '', file('a.txt'), file('b.txt'))
    arrives('a.txt', '11')
    last('b.txt').hooks.located('/api/v1/files/uploads/12')
    await first.outgoing.settled()
    first.outgoing.close()

    const { outgoing } = page()
    await outgoing.restore()
    await turn()
    expect(shown(outgoing)).toEqual([['', 'a.txt done', 'b.txt sending']])
    expect(begun.filter(({ name }) => name === 'a.txt')).toHaveLength(1)
    expect(last('b.txt').url).toBe('/api/v1/files/uploads/12')
    last('b.txt').hooks.done()
    expect(handed).toMatchObject([{ clientId: [...kept.messages.keys()][0], attachments: ['11', '12'] }])
  })

  test('that was handed over just before a reload is handed over again, the same', async () => {
    const first = page()
    await send(first.outgoing, '', file('a.txt'))
    arrives('a.txt', '11')
    await first.outgoing.settled()
    first.outgoing.close()
    await page().outgoing.restore()
    await turn()
    expect(handed).toHaveLength(2)
    expect(handed[0]).toEqual(handed[1])
  })

  test('asks for the file again when its bytes were not kept, and takes no other', async () => {
    const first = page()
    await send(first.outgoing, '', file('big.iso'))
    last('big.iso').hooks.located('/api/v1/files/uploads/11')
    await first.outgoing.settled()
    first.outgoing.close()
    kept.blobs.clear()

    const { outgoing } = page()
    await outgoing.restore()
    await turn()
    expect(shown(outgoing)).toEqual([['', 'big.iso missing']])
    const { key } = [...outgoing.messages.values()][0]!.files[0]!
    expect(outgoing.give(key, new File(['abcd'], 'other.iso'))).toBe(false)
    expect(outgoing.give(key, new File(['abcde'], 'big.iso'))).toBe(false)
    expect(outgoing.give(key, new File(['abcd'], 'big.iso'))).toBe(true)
    expect(last('big.iso').url).toBe('/api/v1/files/uploads/11')
  })

  test('stays paused over a reload', async () => {
    const first = page()
    await send(first.outgoing, '', file('a.txt'))
    first.outgoing.pause([...first.outgoing.messages.values()][0]!.files[0]!.key)
    await first.outgoing.settled()
    first.outgoing.close()
    const { outgoing } = page()
    await outgoing.restore()
    await turn()
    expect(shown(outgoing)).toEqual([['', 'a.txt paused']])
    expect(begun).toHaveLength(1)
  })

  test("is no business of another account's", async () => {
    await send(page('1').outgoing, '', file('a.txt'))
    const other = page('2').outgoing
    await other.restore()
    expect(other.messages.size).toBe(0)
  })

  test('goes without what was cancelled, and not at all when nothing is left', async () => {
    const { outgoing } = page()
    await send(outgoing, '', file('a.txt'), file('b.txt'))
    last('a.txt').hooks.located('/api/v1/files/uploads/11')
    const [a, b] = [...outgoing.messages.values()][0]!.files.map(({ key }) => key)
    outgoing.cancel(a!)
    expect(givenUp).toEqual(['/api/v1/files/uploads/11'])
    expect(shown(outgoing)).toEqual([['', 'b.txt sending']])
    outgoing.cancel(b!)
    await outgoing.settled()
    expect([outgoing.messages.size, kept.messages.size, kept.blobs.size, handed.length]).toEqual([0, 0, 0, 0])
  })

  test('becomes a plain text when only the words are left', async () => {
    const { outgoing } = page()
    await send(outgoing, 'words', file('a.txt'))
    outgoing.cancel([...outgoing.messages.values()][0]!.files[0]!.key)
    expect(handed).toMatchObject([{ kind: 'text', text: 'words', attachments: [] }])
  })

  test('waits for the one before it, unless that one is held up', async () => {
    const { outgoing } = page()
    await send(outgoing, 'first', file('a.txt'))
    await send(outgoing, 'second', file('b.txt'))
    arrives('b.txt', '12')
    expect(handed).toEqual([])
    outgoing.pause([...outgoing.messages.values()][0]!.files[0]!.key)
    outgoing.wake()
    expect(handed.map(({ text }) => text)).toEqual(['second'])
  })

  test('waits for room in the outbox', async () => {
    const { outgoing, free } = page('1', { room: false })
    await send(outgoing, '', file('a.txt'))
    arrives('a.txt', '11')
    free.room = true
    outgoing.wake()
    expect(handed).toHaveLength(1)
  })
})

describe('choosing files', () => {
  test('takes what fits and says what does not', () => {
    const of = (name: string, size: number) => new File(['x'.repeat(size)], name)
    const { taken, refused } = sift([of('a', 1), of('big', 9), of('b', 2), of('c', 3)], { bytes: 5, room: 2 })
    expect(taken.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(refused).toEqual([{ why: 'tooLarge', name: 'big' }, { why: 'tooMany' }])
    expect(sift([of('big', 9)], { bytes: 0, room: 10 }).refused).toEqual([])
  })

  test('a picture that cannot be read is sent as a plain file', async () => {
    const { facts } = await chosen(new File(['no picture'], 'x.png', { type: 'image/png' }))
    expect(facts).toEqual({ name: 'x.png', size: 10, type: 'image/png' })
    expect(kindOf([facts])).toBe('file')
    expect(kindOf([{ ...facts, width: 2, height: 2 }])).toBe('image')
    expect(kindOf([{ name: 'v', size: 1, type: 'audio/webm', waveform: [1] }])).toBe('voice')
  })
})
