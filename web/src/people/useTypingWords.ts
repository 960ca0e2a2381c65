import type { UserId } from '@parley/sdk'
import { computed, toValue, type MaybeRefOrGetter } from 'vue'
import { useI18n } from 'vue-i18n'
import { usePeopleStore } from './usePeopleStore'

/** "Ada and Tom are typing"; nothing when nobody is. Beyond three names it is "several people". */
export function useTypingWords(writers: MaybeRefOrGetter<readonly UserId[]>) {
  const { t } = useI18n()
  const people = usePeopleStore()
  return computed(() => {
    const [a = '', b = '', c = '', ...more] = toValue(writers).map((id) => people.nameOf(id))
    if (!a) return ''
    if (!b) return t('typing.one', { a })
    if (!c) return t('typing.two', { a, b })
    return more.length ? t('typing.several') : t('typing.three', { a, b, c })
  })
}
