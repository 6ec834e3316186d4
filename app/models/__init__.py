"""The model manager over the data folder: find, get, import and describe models. No Flet."""
