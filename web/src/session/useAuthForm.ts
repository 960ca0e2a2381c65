import { computed, reactive, ref } from 'vue'
import { useAction } from '../ui/useAction'
import { useSessionStore } from './useSessionStore'

/** The sign-in form, which is also the sign-up form. What it asks for follows what the server says it needs. */
export function useAuthForm() {
  const session = useSessionStore()

  /** `/#invite=…`, from the link an administrator made. */
  const invited = new URLSearchParams(location.hash.slice(1)).get('invite') ?? ''
  const fields = reactive({ username: '', password: '', displayName: '', setupCode: '', invite: invited })

  const isFirst = computed(() => session.config?.first_account ?? false)
  const mayRegister = computed(() => isFirst.value || session.config?.registration !== 'closed')
  const needsSetupCode = computed(() => session.config?.setup_code_needed ?? false)
  const needsInvite = computed(() => !isFirst.value && session.config?.registration === 'invite')

  const chosen = ref<'in' | 'up' | null>(invited ? 'up' : null)
  const mode = computed<'in' | 'up'>(() => {
    if (!mayRegister.value) return 'in'
    return chosen.value ?? (isFirst.value ? 'up' : 'in')
  })

  const loading = useAction(() => session.loadConfig())
  const sending = useAction(async () => {
    const username = fields.username.trim()
    if (mode.value === 'in') return session.signIn(username, fields.password)
    await session.signUp({
      username,
      password: fields.password,
      ...(fields.displayName.trim() ? { display_name: fields.displayName.trim() } : {}),
      ...(needsInvite.value || fields.invite ? { invite: fields.invite.trim() } : {}),
      ...(needsSetupCode.value ? { setup_code: fields.setupCode.trim() } : {}),
    })
  })

  function switchMode(): void {
    chosen.value = mode.value === 'in' ? 'up' : 'in'
    sending.error.value = null
  }

  void loading.run()

  return { fields, mode, isFirst, mayRegister, needsSetupCode, needsInvite, loading, sending, switchMode }
}
