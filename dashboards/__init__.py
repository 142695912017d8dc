"""The Streamlit app: screens over the services. No SQL and no business rule here."""
