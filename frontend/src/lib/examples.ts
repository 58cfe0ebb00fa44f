// Prompts that suit a model: spark knows only single things, real models like a scene.

import { t } from '../text'
import type { ModelCard } from './types'

export const sparkId = 'spark'

export function examplesFor(model: ModelCard | null): readonly string[] {
  if (model === null) return []
  return model.id === sparkId ? t.examples.spark : t.examples.scenes
}
