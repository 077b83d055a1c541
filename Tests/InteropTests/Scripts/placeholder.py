# paho
