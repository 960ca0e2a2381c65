import { createI18n } from 'vue-i18n'
import en, { type Messages } from './en'
import zh from './zh'

export const locales = { en: 'English', zh: '中文' } as const
export type Locale = keyof typeof locales
export type LocaleChoice = Locale | 'system'

/** The first of the browser's languages that the page speaks. */
export function browserLocale(languages: readonly string[] = navigator.languages): Locale {
  for (const language of languages) {
    if (language.toLowerCase().startsWith('zh')) return 'zh'
    if (language.toLowerCase().startsWith('en')) return 'en'
  }
  return 'en'
}

export const i18n = createI18n<[Messages], Locale, false>({
  legacy: false,
  locale: browserLocale(),
  fallbackLocale: 'en',
  messages: { en, zh },
})
