// The texts in use. `en.ts` has their shape; a translation is another file of this shape, complete by type.

import { de } from './de'
import { en, type Text } from './en'
import { formats } from './format'
import { language } from './language'

const texts = { en, de } satisfies Record<typeof language, Text>

export const t: Text = texts[language]
/** Numbers, sizes, dates and plurals of the language in use. */
export const say = formats(language)

if (typeof document !== 'undefined') document.documentElement.lang = language
