// Starts the page.

import { mount } from 'svelte'
import App from './App.svelte'
import './styles/tokens.css'
import './styles/base.css'

const target = document.getElementById('page')
if (target !== null) {
  // What index.html shows until this script is there.
  target.replaceChildren()
  mount(App, { target })
}
