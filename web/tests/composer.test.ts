import { ParleyClient } from '@parley/sdk'
import { mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { defineComponent, h } from 'vue'
import { beforeEach, expect, test, vi } from 'vitest'
import { CLIENT } from '../src/client'
import MessageComposer from '../src/composer/MessageComposer.vue'
import { useComposer } from '../src/composer/useComposer'
import { i18n } from '../src/locales'

const client = new ParleyClient({ baseUrl: 'http://127.0.0.1', fetch: async () => new Response('{}', { status: 404 }) })
const send = vi.spyOn(client, 'send').mockReturnValue({} as never)
vi.spyOn(client, 'setTyping').mockResolvedValue()

const Harness = defineComponent(() => {
  const composer = useComposer('7')
  return () => h(MessageComposer, { name: 'Design', composer })
})

function draw() {
  return mount(Harness, { attachTo: document.body, global: { plugins: [createPinia(), i18n], provide: { [CLIENT as symbol]: client } } })
}

beforeEach(() => {
  send.mockClear()
  localStorage.clear()
})

test('Enter sends and empties the field', async () => {
  const field = draw().get('textarea')
  await field.setValue('hello')
  await field.trigger('keydown', { key: 'Enter' })
  expect(send).toHaveBeenCalledWith({ conversationId: '7', text: 'hello' })
  expect(field.element.value).toBe('')
})

test('Shift-Enter does not send', async () => {
  const field = draw().get('textarea')
  await field.setValue('hello')
  await field.trigger('keydown', { key: 'Enter', shiftKey: true })
  expect(send).not.toHaveBeenCalled()
})

test('the Enter of an input method does not send', async () => {
  const field = draw().get('textarea')
  await field.setValue('nihao')
  await field.trigger('keydown', { key: 'Enter', isComposing: true })
  await field.trigger('keydown', { key: 'Enter', keyCode: 229 })
  expect(send).not.toHaveBeenCalled()
  expect(field.element.value).toBe('nihao')
})

test('nothing but spaces is not sent', async () => {
  const field = draw().get('textarea')
  await field.setValue('  \n ')
  await field.trigger('keydown', { key: 'Enter' })
  expect(send).not.toHaveBeenCalled()
})

test('a full outbox leaves the text where it is', async () => {
  send.mockImplementationOnce(() => {
    throw new Error('full')
  })
  const field = draw().get('textarea')
  await field.setValue('hello')
  await field.trigger('keydown', { key: 'Enter' })
  expect(field.element.value).toBe('hello')
})
