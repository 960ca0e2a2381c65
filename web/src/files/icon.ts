import type { IconName } from '../ui/icons'

/** Which icon stands for a file of this type. */
export function iconOf(type: string): IconName {
  if (type.startsWith('image/')) return 'picture'
  if (type.startsWith('video/')) return 'film'
  return type.startsWith('audio/') ? 'music' : 'file'
}
