import type { User } from '@parley/sdk'
import { computed, type Ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRouter } from 'vue-router'
import { useConversationName } from '../conversation/useConversationName'
import { useConversationsStore } from '../conversation/useConversationsStore'
import { useOpenConversation } from '../conversation/useOpenConversation'
import { toConversation } from '../router'
import { usePreferencesStore } from '../settings/usePreferencesStore'
import { useDialogsStore } from '../shell/useDialogsStore'
import type { IconName } from '../ui/icons'
import { useToasts } from '../ui/useToasts'

export interface Choice {
  key: string
  label: string
  detail?: string
  icon?: IconName
  /** A person's or conversation's face in place of an icon. */
  face?: string
  act: () => void
}

export interface Section {
  title: string
  choices: Choice[]
}

const MOST = 8

/** What the palette offers for what is typed: conversations, people, commands. */
export function usePalette(query: Ref<string>, found: Ref<readonly User[]>) {
  const { t } = useI18n()
  const router = useRouter()
  const dialogs = useDialogsStore()
  const conversations = useConversationsStore()
  const preferences = usePreferencesStore()
  const toasts = useToasts()
  const { writeTo } = useOpenConversation()
  const { nameOf, iconOf } = useConversationName()

  const matches = (...texts: (string | null | undefined)[]) => {
    const wanted = query.value.trim().toLowerCase()
    return texts.some((text) => text?.toLowerCase().includes(wanted))
  }

  const rooms = computed<Choice[]>(() =>
    conversations.sorted
      .map((one) => ({ one, name: nameOf(one) }))
      .filter(({ one, name }) => matches(name, one.name, one.peer?.username))
      .slice(0, MOST)
      .map(({ one, name }) => ({
        key: `c${one.id}`,
        label: name,
        ...(one.name && one.name.toLowerCase() !== name.toLowerCase() ? { detail: one.name } : {}),
        ...(iconOf(one) ? { icon: iconOf(one)! } : {}),
        face: one.peer?.id ?? `c${one.id}`,
        act: () => void router.push(toConversation(one.id)),
      })),
  )

  const people = computed<Choice[]>(() => {
    if (!query.value.trim()) return []
    const there = new Set(conversations.sorted.flatMap((one) => (one.peer ? [one.peer.id] : [])))
    return found.value
      .filter((user) => !there.has(user.id))
      .slice(0, MOST)
      .map((user) => ({
        key: `u${user.id}`,
        label: user.display_name || user.username,
        detail: `@${user.username}`,
        face: user.id,
        act: () => void toasts.tell(writeTo(user.id)),
      }))
  })

  const commands = computed<Choice[]>(() =>
    (
      [
        ['compose', t('conversation.newMessage'), () => dialogs.show('message')],
        ['hash', t('conversation.newRoom'), () => dialogs.show('room')],
        ['users', t('conversation.newGroup'), () => dialogs.show('group')],
        ['compass', t('conversation.browse'), () => dialogs.show('browse')],
        ['invite', t('invite.title'), () => dialogs.show('invite')],
        preferences.isDark
          ? ['sun', t('palette.themeToLight'), () => (preferences.theme = 'light')]
          : ['moon', t('palette.themeToDark'), () => (preferences.theme = 'dark')],
        ['globe', preferences.locale === 'en' ? '中文' : 'English', () => (preferences.language = preferences.locale === 'en' ? 'zh' : 'en')],
        ['user', `${t('settings.title')} · ${t('settings.profile')}`, () => dialogs.show('settings', { tab: 'profile' })],
        ['monitor', `${t('settings.title')} · ${t('settings.appearance')}`, () => dialogs.show('settings', { tab: 'appearance' })],
        ['lock', `${t('settings.title')} · ${t('settings.security')}`, () => dialogs.show('settings', { tab: 'security' })],
        ['device', `${t('settings.title')} · ${t('settings.sessions')}`, () => dialogs.show('settings', { tab: 'sessions' })],
        ['keyboard', t('palette.showKeys'), () => dialogs.show('keys')],
      ] as [IconName, string, () => void][]
    )
      .filter(([, label]) => matches(label))
      .map(([icon, label, act]) => ({ key: `k${label}`, label, icon, act })),
  )

  const sections = computed<Section[]>(() =>
    [
      { title: t('palette.conversations'), choices: rooms.value },
      { title: t('palette.people'), choices: people.value },
      { title: t('palette.commands'), choices: commands.value },
    ].filter((section) => section.choices.length > 0),
  )

  return { sections }
}
