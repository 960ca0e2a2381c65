import { onScopeDispose, shallowRef, watch, type ShallowRef } from 'vue'

/** The value as of the last frame of the screen: however fast it changes, it is looked at once a frame, and not at all while nobody sees it. */
export function useFrame<T>(source: () => T): Readonly<ShallowRef<T>> {
  const shown = shallowRef(source()) as ShallowRef<T>
  let frame = 0
  watch(source, () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0
      shown.value = source()
    })
  })
  onScopeDispose(() => cancelAnimationFrame(frame))
  return shown
}
