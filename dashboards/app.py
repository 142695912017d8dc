"""Which screens are there? The router; everything else is in `screens`."""

import streamlit as st

from dashboards.screens import recent

st.set_page_config(page_title="autorepost", layout="wide")
st.navigation(
    [st.Page(recent.show, title="Recent posts", icon=":material/movie:", url_path="recent", default=True)],
    position="top",
).run()
