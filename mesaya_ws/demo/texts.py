"""The names and texts of the demo."""

FIRST_NAMES = (
    "Valentina", "Mateo", "Camila", "Sebastián", "Lucía", "Nicolás", "Daniela", "Andrés", "Gabriela", "Emilio",
    "Mariana", "Joaquín", "Paula", "Esteban", "Renata", "Íñigo", "Ximena", "Tomás", "Noelia", "Rubén",
)  # fmt: skip
LAST_NAMES = (
    "Zambrano", "Cedeño", "Muñoz", "Delgado", "Mendoza", "Vélez", "Alarcón", "Ibáñez", "Quiñónez", "Macías",
    "Peñafiel", "Loor", "Briones", "Castaño", "Güemes",
)  # fmt: skip

RESTAURANTS = (
    ("La Mesa del Puerto", "Pescado del día y ceviches", "Manta", "Manabí", "Malecón Escénico 104"),
    ("Casa Nogal", "Cocina de la sierra, a fuego lento", "Quito", "Pichincha", "Juan León Mera N23-54"),
    ("El Rincón de Ñaña", "Bolones, encebollado y tertulia", "Guayaquil", "Guayas", "Panamá 708 y Junín"),
    ("Taberna Azul", "Tapas y vinos", "Cuenca", "Azuay", "Calle Larga 9-40"),
    ("Brasas y Olivo", "Parrilla mediterránea", "Quito", "Pichincha", "Av. Isabel la Católica 312"),
    ("Mar Adentro", "Mariscos junto a la playa", "Salinas", "Santa Elena", "Malecón de Chipipe 21"),
)
"""Name, description, city, province, address."""

SECTIONS = (("Salón", "Junto a la barra", 900, 600), ("Terraza", "Al aire libre", 720, 480))
"""Name, description, width, height."""

MENUS = (
    (
        "Carta de temporada",
        "Platos de la casa",
        (
            ("Ceviche de camarón", "Con limón, cebolla morada y chifles", 11.5),
            ("Encebollado", "Albacora, yuca y cebolla encurtida", 6.75),
            ("Locro de papas", "Con queso fresco y aguacate", 7.25),
            ("Arroz marinero", "Camarón, calamar y concha", 14),
        ),
    ),
    (
        "Postres y bebidas",
        "Para terminar",
        (
            ("Tres leches", "Receta de la abuela", 4.5),
            ("Helado de paila", "De mora o naranjilla", 3.75),
            ("Café de Loja", "Filtrado en la mesa", 2.5),
        ),
    ),
)
"""Name, description, and the dishes: name, description, price."""

COMMENTS = {
    5: ("¡Excelente! Volveremos.", "El mejor ceviche de la ciudad.", "Atención impecable y muy buena cocina."),
    4: ("Muy rico todo, un poco de espera.", "Buen ambiente en la terraza.", "Recomendable para ir en familia."),
    3: ("Correcto, sin más.", "La comida bien, el ruido no tanto."),
    2: ("Tardaron en atendernos.",),
}
"""Comments of guests, by their rating."""

CHATS = (
    ("¿Tienen silla para bebé?", "Sí, se la dejamos lista junto a la mesa."),
    ("Llegaremos unos diez minutos tarde.", "No se preocupe, le guardamos la mesa."),
    ("¿Hay opciones sin gluten?", "Claro, casi toda la carta; avísenos al llegar."),
    ("¿Se puede entrar con perro?", "En la terraza, con mucho gusto."),
)
"""What guests ask before they come, and what the restaurant answers."""

ANNOUNCEMENTS = (
    ("Música en vivo", "Esta noche hay música en vivo desde las 20:00."),
    ("Nuevo menú", "Los restaurantes de la costa estrenan carta de temporada."),
    ("Feriado", "Reserva con tiempo: se espera mucha gente este fin de semana."),
)
"""Title and message."""
