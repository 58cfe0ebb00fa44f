// The texts in use. A translation is chosen here.

import { en, type Text } from './en'

export const t: Text = en
