// The manual in the language of this visit.

import { manual as de } from './de/manual'
import { manual as en } from './en/manual'
import { language } from './language'

export const manual = { en, de }[language]
