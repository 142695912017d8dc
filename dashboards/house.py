"""How does a screen get at the services? One house for the whole app, opened at first use."""

import os

import streamlit as st

from autorepost_app.bootstrap import open_house, settings_from
from autorepost_app.domain.identity import SystemScope
from autorepost_app.services.house import House

OPERATOR = SystemScope("screens")
"""Until people can sign in, the app answers only on this machine and shows what its operator may see."""


@st.cache_resource(show_spinner=False)
def this_house() -> House:
    return open_house(settings_from(os.environ))
