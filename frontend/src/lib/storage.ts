// The browser's own storage, which may be full or forbidden; then nothing is remembered.

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`fieldforge.${name}`, value)
  } catch {
    // Nothing depends on it.
  }
}

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(`fieldforge.${name}`)
  } catch {
    return null
  }
}
