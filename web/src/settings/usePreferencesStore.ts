import { usePreferredDark, useStorage } from '@vueuse/core'
import { defineStore } from 'pinia'
import { computed, watchEffect } from 'vue'
import { browserLocale, i18n, type Locale, type LocaleChoice } from '../locales'

export type ThemeChoice = 'system' | 'light' | 'dark'

/** What this browser remembers about how the page should look. The theme's key is also read by public/theme.js. */
export const usePreferencesStore = defineStore('preferences', () => {
  const theme = useStorage<ThemeChoice>('parley.theme', 'system')
  const language = useStorage<LocaleChoice>('parley.language', 'system')
  const listWidth = useStorage('parley.list-width', 320)

  const prefersDark = usePreferredDark()
  const isDark = computed(() => theme.value === 'dark' || (theme.value === 'system' && prefersDark.value))
  const locale = computed<Locale>(() => (language.value === 'system' ? browserLocale() : language.value))

  /** With the reader's region where the browser tells it: whether a day has 24 hours depends on it. */
  const region = computed(
    () => navigator.languages.find((one) => one.toLowerCase().startsWith(locale.value)) ?? (locale.value === 'zh' ? 'zh-CN' : 'en'),
  )

  watchEffect(() => {
    if (theme.value === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = theme.value
  })
  watchEffect(() => {
    i18n.global.locale.value = locale.value
    document.documentElement.lang = locale.value === 'zh' ? 'zh-CN' : 'en'
  })

  return { theme, language, listWidth, isDark, locale, region }
})
