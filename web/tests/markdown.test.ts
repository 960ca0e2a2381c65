import { describe, expect, test } from 'vitest'
import { isJumbo, renderMarkdown } from '../src/message/markdown'
import { plainText } from '../src/message/plainText'

function dom(text: string): HTMLElement {
  const root = document.createElement('div')
  root.innerHTML = renderMarkdown(text)
  return root
}

describe('what somebody wrote can do no harm', () => {
  test.each([
    '<script>alert(1)</script>',
    '<img src=x onerror=alert(1)>',
    '[x](javascript:alert(1))',
    '[x](data:text/html;base64,PHNjcmlwdD4=)',
    '[x](vbscript:msgbox)',
    '<a href="https://example.org" onclick="alert(1)">x</a>',
    '![x](https://example.org/track.png)',
    '<style>*{display:none}</style>',
    '<svg><animate onbegin=alert(1)>',
    '```"><img src=x onerror=alert(1)>\ncode\n```',
    '<iframe src="https://example.org">',
  ])('%s', (text) => {
    const root = dom(text)
    expect(root.querySelector('script, img, iframe, style, svg, object, form')).toBeNull()
    for (const element of root.querySelectorAll('*')) {
      for (const { name, value } of element.attributes) {
        expect(name.startsWith('on')).toBe(false)
        if (name === 'href') expect(value).toMatch(/^(https?|mailto):/)
      }
    }
  })
})

describe('markdown', () => {
  test('links open elsewhere and tell nobody where from', () => {
    const link = dom('see https://example.org/a?b=c').querySelector('a')!
    expect(link.getAttribute('href')).toBe('https://example.org/a?b=c')
    expect(link.getAttribute('rel')).toContain('noopener')
    expect(link.getAttribute('target')).toBe('_blank')
  })

  test('file names are not links', () => {
    expect(dom('edit main.rs and deploy.py').querySelector('a')).toBeNull()
  })

  test('a line break is a line break', () => {
    expect(dom('one\ntwo').querySelector('br')).not.toBeNull()
  })

  test('a drawn line below a text makes no heading', () => {
    expect(dom('hello\n---').querySelector('h1, h2')).toBeNull()
  })
})

test('a preview has the words without the marks', () => {
  expect(plainText('**bold** and `code`,\nsee [here](https://example.org)')).toBe('bold and code, see here')
  expect(plainText('snake_case and 2 * 3 * 4')).toBe('snake_case and 2 * 3 * 4')
})

test('one to three emoji are large', () => {
  expect(isJumbo('👍')).toBe(true)
  expect(isJumbo('👩‍👩‍👧 ❤️ 👍🏽')).toBe(true)
  expect(isJumbo('👍👍👍👍')).toBe(false)
  expect(isJumbo('ok 👍')).toBe(false)
  expect(isJumbo('123')).toBe(false)
})
