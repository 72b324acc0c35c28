"""The Streamlit dashboard: reads what was computed upstream, computes nothing itself."""
