// Runs before the first paint, so that a chosen theme never flashes the other one.
// A file of its own because the page's policy allows no inline script.
(function () {
  try {
    var theme = localStorage.getItem('parley.theme')
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
  } catch (_) {
    // Storage may be blocked; then the system's theme applies.
  }
})()
