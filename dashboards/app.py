"""Which screens are there? The router; everything else is in `screens`."""

import streamlit as st

from dashboards.screens import recent

# drawn here: an icon by name would be fetched from a font service by every visitor's browser
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" rx="14" fill="#4f46e5"/>'
    '<path d="M18 26h24l-7-7M46 38H22l7 7" fill="none" stroke="#fff" stroke-width="6" stroke-linecap="round" '
    'stroke-linejoin="round"/></svg>'
)

st.set_page_config(page_title="autorepost", page_icon=_ICON, layout="centered")
st.navigation([st.Page(recent.show, title="Recent posts", url_path="recent", default=True)], position="top").run()
