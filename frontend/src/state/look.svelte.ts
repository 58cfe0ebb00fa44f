// How the page looks to this person: colours, sharp or smooth enlargement, and the room there is.

import { recall, remember } from '../lib/storage'

export type Theme = 'system' | 'light' | 'dark'
const themes: readonly Theme[] = ['system', 'light', 'dark']

function watch(query: string, changed: (matches: boolean) => void): void {
  const list = window.matchMedia(query)
  changed(list.matches)
  list.addEventListener('change', (event) => changed(event.matches))
}

class Look {
  theme = $state<Theme>(themes.find((name) => name === recall('theme')) ?? 'system')
  sharp = $state(recall('sharp') === 'yes')
  /** Room for three panes: the settings stay open on the left. */
  wide = $state(false)
  /** Room for two panes beside each other. */
  panes = $state(false)

  constructor() {
    watch('(min-width: 1400px) and (min-height: 560px)', (matches) => (this.wide = matches))
    watch('(min-width: 768px) and (min-height: 560px)', (matches) => (this.panes = matches))
    this.apply()
  }

  nextTheme(): void {
    this.theme = themes[(themes.indexOf(this.theme) + 1) % themes.length] ?? 'system'
    remember('theme', this.theme)
    this.apply()
  }

  setSharp(sharp: boolean): void {
    this.sharp = sharp
    remember('sharp', sharp ? 'yes' : 'no')
  }

  private apply(): void {
    const root = document.documentElement
    if (this.theme === 'system') delete root.dataset.theme
    else root.dataset.theme = this.theme
  }
}

export const look = new Look()
