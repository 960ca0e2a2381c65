import { useMediaQuery } from '@vueuse/core'

/** One pane at a time. The same bound stands in the style sheets. */
export const useIsPhone = () => useMediaQuery('(max-width: 639.98px)')
